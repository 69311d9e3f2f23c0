"""Two power-function averages of the weights, kept beside a training, and their snapshots.

Source: Karras et al., arXiv:2312.02696, section 3. `zoo.training.posthoc` makes others of them.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from zoo.errors import ZooError, one_line
from zoo.files import replacing
from zoo.numerics.power_average import keep

FOLDER = "ema"
# Of each average, the one in the checkpoint counted.
SNAPSHOTS = 32
SUFFIX = ".safetensors"
ABOUT = "averages"


class PowerAverages:
    """Averages of a network's parameters by powers of time.

    Args:
        network: the parameters that it has are averaged, in float32.
        lengths: the relative length of each average.

    Attributes:
        means: the averages, by name of the parameter.
    """

    def __init__(self, network: nn.Module, lengths: tuple[float, ...]) -> None:
        self.lengths = lengths
        self.means: list[dict[str, Tensor]] = [
            {name: p.detach().float().clone() for name, p in network.named_parameters()}
            for _ in lengths
        ]

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the parameters after step number `step`, from 1; what the first has begins."""
        values = [p.detach().float() for p in network.parameters()]
        for length, mean in zip(self.lengths, self.means, strict=True):
            torch._foreach_lerp_([*mean.values()], values, 1 - keep(length, step))

    def state_dict(self) -> list[dict[str, Tensor]]:
        """Return the averages, one mapping per length."""
        return self.means

    @torch.no_grad()
    def load_state_dict(self, state: list[dict[str, Tensor]]) -> None:
        """Take over what `state_dict` returned, of the same network and lengths."""
        for mean, saved in zip(self.means, state, strict=True):
            for name, value in mean.items():
                value.copy_(saved[name])


def snapshot_steps(steps: int) -> frozenset[int]:
    """Return the steps of a run of so many after which a snapshot is written: at most 31, evenly.

    They depend on the run's length alone, so a resumed run writes the same ones. The end is in
    the checkpoint.
    """
    return frozenset(steps * k // SNAPSHOTS for k in range(1, SNAPSHOTS)) - {0, steps}


def path_of(run: Path, step: int) -> Path:
    """Return the file of a run's snapshot."""
    return run / FOLDER / f"{step:08d}{SUFFIX}"


def write_snapshot(run: Path, step: int, averages: PowerAverages) -> None:
    """Write the averages after a step into the run's folder, in float32, whole or not at all.

    Raises:
        ZooError: the disk is full or not writable.
    """
    path = path_of(run, step)
    tensors = {
        f"{k}.{name}": value.cpu().contiguous()
        for k, mean in enumerate(averages.state_dict())
        for name, value in mean.items()
    }
    try:
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as beside:
            save_file(tensors, beside, metadata={ABOUT: told(step, averages.lengths)})
            beside.chmod(0o644)
    except (OSError, SafetensorError) as error:
        raise ZooError(f"cannot write {path}: {one_line(error)}") from error


def told(step: int, lengths: tuple[float, ...]) -> str:
    """Return what a snapshot says of itself; one entry, since safetensors orders several anew."""
    return f"step {step}, lengths {' '.join(map(repr, lengths))}"


def snapshots(run: Path) -> dict[int, Path]:
    """Return a run's snapshots by step, in order; other files are left alone."""
    found = {}
    for path in (run / FOLDER).glob(f"*{SUFFIX}"):
        if path.stem.isascii() and path.stem.isdigit():
            found[int(path.stem)] = path
    return dict(sorted(found.items()))


def forget_snapshots(run: Path) -> None:
    """Remove the snapshots of a run that was in this folder before."""
    for path in snapshots(run).values():
        with suppress(OSError):
            path.unlink()

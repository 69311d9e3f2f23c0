"""Checkpoints of score SDE and PFGM (.pth): numbered modules, averages in parameters' order.

{"model": state, "ema": {"shadow_params": [tensor, ...], ...}, ...}, where the state's names are
all_modules.<number>.<layer>, in the order in which the network goes through them. The averages have
no names: they are those of the trained parameters, in the state's order. Here each module gets the
name that the same layer has in EDM's arrangement.
Source: the layout of yang-song/score_sde_pytorch (Apache-2.0), which Newbeeer/Poisson_flow keeps;
score SDE, arXiv:2011.13456; PFGM, arXiv:2209.11178.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError

_NUMBERED = re.compile(r"(?:module\.)?all_modules\.(\d+)\.(.+)")
_LAYERS = {
    "GroupNorm_0": "norm0",
    "Conv_0": "conv0",
    "Dense_0": "affine",
    "GroupNorm_1": "norm1",
    "Conv_1": "conv1",
    "Conv_2": "skip",
}
# Kept in the state but not trained: noise levels, and the frequencies of the Fourier embedding.
_UNTRAINED = re.compile(r"(.*\.)?(sigmas|W)\Z")

Module = dict[str, Tensor]


def is_checkpoint(found: object) -> bool:
    """Return whether a file's content has the outline of such a checkpoint."""
    ema = found.get("ema") if isinstance(found, Mapping) and "model" in found else None
    return isinstance(ema, Mapping) and "shadow_params" in ema


def averaged(found: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """Return the state with every trained parameter replaced by its average.

    Raises:
        ZooError: the averages are not as many, or not of the shapes, of the parameters.
    """
    state, ema = found["model"], found["ema"]
    shadow = ema.get("shadow_params") if isinstance(ema, Mapping) else None
    plain = isinstance(state, Mapping) and all(isinstance(v, Tensor) for v in state.values())
    if not plain or not isinstance(shadow, Sequence):
        raise ZooError(f"{where}: expected a state under 'model' and 'shadow_params' under 'ema'")
    names = [n for n in state if not (_UNTRAINED.match(n) and "NIN" not in n)]
    if len(names) != len(shadow):
        raise ZooError(f"{where}: {len(shadow)} averages for {len(names)} parameters")
    for name, value in zip(names, shadow, strict=True):
        if not isinstance(value, Tensor) or value.shape != state[name].shape:
            raise ZooError(f"{where}: the average of {name} has another shape than it")
    return {**state, **dict(zip(names, shadow, strict=True))}


def renamed(state: Mapping[str, Tensor], side: int, where: str) -> dict[str, Tensor]:
    """Return the state under the names of EDM's arrangement.

    Args:
        state: with the numbered names.
        side: of the images in pixels, which the file does not tell.
        where: names the file in errors.

    Raises:
        ZooError: the network is not a DDPM++ or NCSN++ one.
    """
    modules: dict[int, Module] = {}
    for name, value in state.items():
        if match := _NUMBERED.fullmatch(name):
            modules.setdefault(int(match[1]), {})[match[2]] = value
        elif not _UNTRAINED.match(name):
            raise ZooError(f"{where}: {name[:100]!r} is not of a DDPM++ or NCSN++ network")
    queue = [modules[number] for number in sorted(modules)]
    try:
        return _Renaming(queue, side).state
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise ZooError(
            f"{where}: its modules are not those of a DDPM++ or NCSN++ network of score SDE"
        ) from error


def _resamples(module: Module) -> bool:
    """Return whether a block changes the size: a 1x1 skip although the channels stay."""
    skip = module.get("Conv_2.weight")
    return skip is not None and skip.shape[0] == skip.shape[1]


class _Renaming:
    """One walk through the modules, in the order in which the network applies them.

    Attributes:
        state: what it makes of them.
    """

    def __init__(self, queue: list[Module], side: int) -> None:
        self.queue, self.state = queue, dict[str, Tensor]()
        pyramid = any("Conv2d_0.weight" in module for module in queue)
        row = torch.tensor([1.0, 3.0, 3.0, 1.0] if pyramid else [1.0, 1.0])
        self.taps = row.outer(row)[None, None] / row.sum() ** 2
        halvings = sum(map(_resamples, queue)) // 2
        if "W" in queue[0]:
            self.state["map_noise.freqs"] = self.queue.pop(0)["W"]
        self._plain("map_layer0")
        self._plain("map_layer1")
        self._plain(f"enc.{side}x{side}_conv")
        blocks = next(i for i, module in enumerate(self._blocks()) if _resamples(module))
        sides = [side >> level for level in range(halvings + 1)]
        for level, s in enumerate(sides):
            if level:
                self._block(f"enc.{s}x{s}_down")
                if pyramid:
                    self._plain(f"enc.{s}x{s}_aux_residual", "Conv2d_0.")
                    self.state[f"enc.{s}x{s}_aux_residual.resample_filter"] = self.taps
            for i in range(blocks):
                self._block(f"enc.{s}x{s}_block{i}")
        for s in reversed(sides):
            if s == sides[-1]:
                self._block(f"dec.{s}x{s}_in0")
                self._block(f"dec.{s}x{s}_in1")
            else:
                self._block(f"dec.{s}x{s}_up")
            for i in range(blocks + 1):
                self._block(f"dec.{s}x{s}_block{i}")
        self._plain(f"dec.{side}x{side}_aux_norm")
        self._plain(f"dec.{side}x{side}_aux_conv")
        if self.queue:
            raise ValueError("modules are left over")

    def _blocks(self) -> list[Module]:
        return [module for module in self.queue if "Conv_0.weight" in module]

    def _plain(self, name: str, layer: str = "") -> None:
        module = self.queue.pop(0)
        for part in ("weight", "bias"):
            self.state[f"{name}.{part}"] = module[f"{layer}{part}"]

    def _block(self, name: str) -> None:
        """Take a residual block, and the attention behind it if there is one."""
        module = self.queue.pop(0)
        for theirs, ours in _LAYERS.items():
            if theirs == "Conv_2" and "Conv_2.weight" not in module:
                continue
            for part in ("weight", "bias"):
                self.state[f"{name}.{ours}.{part}"] = module[f"{theirs}.{part}"]
        if _resamples(module):
            for layer in ("conv0", "skip"):
                self.state[f"{name}.{layer}.resample_filter"] = self.taps
        if self.queue and "NIN_0.W" in self.queue[0]:
            self._attention(name, self.queue.pop(0))

    def _attention(self, name: str, module: Module) -> None:
        """Interleave queries, keys and values, of matrices that multiply from the right."""
        for part in ("weight", "bias"):
            self.state[f"{name}.norm2.{part}"] = module[f"GroupNorm_0.{part}"]
        matrices = torch.stack([module[f"NIN_{i}.W"].T for i in range(3)], dim=1)
        self.state[f"{name}.qkv.weight"] = matrices.flatten(0, 1)[:, :, None, None]
        offsets = torch.stack([module[f"NIN_{i}.b"] for i in range(3)], dim=1)
        self.state[f"{name}.qkv.bias"] = offsets.flatten()
        self.state[f"{name}.proj.weight"] = module["NIN_3.W"].T[:, :, None, None]
        self.state[f"{name}.proj.bias"] = module["NIN_3.b"]

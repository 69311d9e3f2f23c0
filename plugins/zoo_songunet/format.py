"""Networks of EDM, PFGM++, PFGM and score SDE in a user's own file, as models of the zoo.

A network snapshot of EDM or PFGM++ (.pkl), {"ema": network, ...}; the state of such a network alone
(.pt, .pth, .safetensors); a checkpoint of score SDE or PFGM (.pth): zoo_songunet.checkpoint.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo import ZooError
from zoo.formats import Inert, attributes, class_name, read_data, state_dict, state_of, unwrapped
from zoo.interfaces import Checkpoint, Config, Data, Files, Format, Part, SolverPart
from zoo_songunet.checkpoint import averaged, is_checkpoint, renamed, trained_as

# EDM's settings (arXiv:2206.00364, table 1), PFGM++'s too at t = sigma sqrt D.
_SIGMA_MIN, _SIGMA_MAX, _SIGMA_DATA = 0.002, 80.0, 0.5
_STEPS_SMALL, _STEPS_LARGE, _SMALL_SIDE = 18, 40, 32
_REFERENCE_LICENSE = "cc-by-nc-sa-4.0"
_PRECONDITIONED = "EDMPrecond"
_LARGEST_SIDE = 2**14
# Classes that carry their own source, and the dictionary that they keep their options in.
DESCRIBED = r"dnnlib\.|torch_utils\.persistence$"
_STEM = re.compile(r"enc\.(\d{1,5})x\1_conv\.weight\Z")
_FIRST = re.compile(r"enc\.(\d{1,5})x\1_block0\.conv0\.weight\Z")
# What names begin with in such a network, behind the prefixes of wrappers.
_LAYER = re.compile(r"(?:\w+\.)*(?:enc|dec)\.\d+x\d+_")
_SUFFIXES = frozenset({"", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".safetensors"})


class SongUNetFormat(Format):
    """DDPM++, NCSN++ and ADM networks of EDM, PFGM++, PFGM and score SDE, one file each.

    Args:
        D: of PFGM++, where the file does not tell it; None for EDM's Gaussian kernel.
        side: of the images in pixels, which checkpoints of score SDE and PFGM do not tell.

    Raises:
        ZooError: an impossible side or D.
    """

    def __init__(self, *, D: float | None = None, side: int | None = None) -> None:
        if side is not None and not (isinstance(side, int) and 1 <= side <= _LARGEST_SIDE):
            raise ZooError(f"side = {side}; expected a number of pixels up to {_LARGEST_SIDE}")
        if D is not None and not (isinstance(D, int | float) and 0 < D < math.inf):
            raise ZooError(f"D = {D}; expected a positive number")
        self.degrees, self.side = D, side

    def read(self, files: Files) -> Checkpoint | None:
        """Return the model in one file; None for folders, repositories and files of others.

        Raises:
            ZooError: the file asks for more than data, or its network is not wholly of this kind.
        """
        if files.file is None or Path(files.file).suffix.lower() not in _SUFFIXES:
            return None
        path = files.path(files.file)
        found = read_data(path, DESCRIBED)
        if is_checkpoint(found):
            return self._checkpoint(found, str(path))
        network = found.get("ema") if isinstance(found, dict) else found
        if isinstance(network, Inert):
            known = network is not found or re.match(DESCRIBED, network.module)
            return self._snapshot(network, str(path)) if known else None
        inner = [*found.values()] if isinstance(found, Mapping) else []
        if not any(map(_has_layers, [found, *inner])):
            return None
        return self._of(unwrapped(state_of(found, path), "model."), str(path))

    def _checkpoint(self, found: Mapping[str, Any], where: str) -> Checkpoint:
        """Return the model in a checkpoint of score SDE or PFGM."""
        if self.side is None:
            raise ZooError(
                f"{where} is of score SDE or PFGM and does not tell its images' side; say "
                "--set side=32"
            )
        state = renamed(averaged(found, where), self.side, where)
        network, shape = architecture(state, where)
        return _model(state, shape, *trained_as(network, shape, state, where))

    def _snapshot(self, network: Inert, where: str) -> Checkpoint:
        """Return the model in a snapshot of EDM or PFGM++."""
        values = attributes(network)
        if values is None:
            raise ZooError(f"{where} has no averaged network under 'ema'")
        if (name := class_name(network)[:100]) != _PRECONDITIONED:
            raise ZooError(
                f"{where} holds a {name or 'network without a name'}; only {_PRECONDITIONED}, the "
                "preconditioning of EDM and PFGM++, is known"
            )
        state = unwrapped(state_dict(network, where), "model.")
        sigma_data = _number(values, "sigma_data") or _SIGMA_DATA
        return self._of(state, where, _degrees(values), sigma_data, _REFERENCE_LICENSE)

    def _of(
        self,
        state: dict[str, Tensor],
        where: str,
        degrees: float | None = None,
        sigma_data: float = _SIGMA_DATA,
        license: str = "unknown",
    ) -> Checkpoint:
        """Return the model of a network of EDM, or of PFGM++ where D is known."""
        network, shape = architecture(state, where)
        if sigma_data != _SIGMA_DATA:
            network = Part(network.use, {**network.options, "sigma_data": sigma_data})
        degrees = degrees if self.degrees is None else self.degrees
        root = math.sqrt(degrees or 1)
        times = {"t_min": _SIGMA_MIN * root, "t_max": _SIGMA_MAX * root}
        noise = Part("pfgmpp", {"D": degrees, **times}) if degrees else Part("gaussian", times)
        return _model(state, shape, network, noise, Part(noise.use), license)


def _has_layers(state: object) -> bool:
    """Return whether one of the names in a mapping is of a layer of such a network."""
    names = [*state] if isinstance(state, Mapping) else []
    return any(isinstance(name, str) and _LAYER.match(name) for name in names)


def _model(
    state: Mapping[str, Tensor],
    shape: tuple[int, int, int],
    network: Part,
    kernel: Part,
    prior: Part,
    license: str = "unknown",
) -> Checkpoint:
    steps = _STEPS_SMALL if shape[1] <= _SMALL_SIDE else _STEPS_LARGE
    config = Config(
        format=1,
        data=Data(shape, labels=network.options.get("labels", 0)),
        kernel=kernel,
        prior=prior,
        network=network,
        solver=SolverPart("heun", steps=steps),
    )
    return Checkpoint(config, {f"backbone.{n}": value for n, value in state.items()}, license)


def _number(state: Mapping[str, Any], name: str) -> float | None:
    value = state.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value < math.inf else None


def _degrees(state: Mapping[str, Any]) -> float | None:
    """Return PFGM++'s D where the wrapper keeps it, among its attributes or its options."""
    options = state.get("_init_kwargs")
    options = options.items if isinstance(options, Inert) else options
    for place in (state, options if isinstance(options, Mapping) else {}):
        off = [
            k for k, v in place.items() if re.fullmatch(r"pfgm(_?pp|plusplus)?", str(k)) and not v
        ]
        if not off and (degrees := _number(place, "D")) is not None:
            return degrees
    return None


def architecture(state: Mapping[str, Tensor], where: str) -> tuple[Part, tuple[int, int, int]]:
    """Return the component that a network's names and shapes show, and the shape of the images.

    Raises:
        ZooError: it is not the state of such a network.
    """
    stems = [match for name in state if (match := _STEM.match(name))]
    firsts = [(int(m[1]), state[m[0]]) for name in state if (m := _FIRST.match(name))]
    kernels = [state[match[0]] for match in stems] + [weight for _, weight in firsts]
    if len(stems) != 1 or not firsts or any(k.ndim != 4 or not k.numel() for k in kernels):
        some = ", ".join(repr(name[:100]) for name in sorted(state)[:2]) or "nothing"
        raise ZooError(
            f"{where} is not the state of a DDPM++ or NCSN++ network (SongUNet), or of an ADM one "
            f"(DhariwalUNet): it holds {some}"
        )
    side = int(stems[0][1])
    width, channels = kernels[0].shape[:2]
    adm = "out_conv.weight" in state
    if adm:  # its stem is as wide as the first stage; what is embedded has the width
        embedded = state.get("map_layer0.weight")
        if embedded is None or embedded.ndim != 2 or not embedded.numel():
            raise ZooError(f"{where} is not the state of an ADM network: it has no map_layer0")
        width = embedded.shape[1]
    sides = sorted(firsts, key=lambda item: -item[0])
    blocks = [n for n in state if re.match(rf"enc\.{side}x{side}_block\d+\.conv0\.weight\Z", n)]
    options: dict[str, Any] = {
        "width": width,
        "multipliers": [len(weight) // width for _, weight in sides],
        "blocks": len(blocks),
        "attention": [s for s, _ in sides if f"enc.{s}x{s}_block0.qkv.weight" in state],
    }
    for option, name in (("labels", "map_label.weight"), ("augment", "map_augment.weight")):
        if name in state and state[name].ndim == 2:
            options[option] = state[name].shape[1]
    pyramid = any("aux_residual" in name for name in state)
    use = "adm" if adm else "ncsnpp" if pyramid else "ddpmpp"
    return Part(use, options), (channels, side, side)

"""Checkpoints of score SDE and PFGM (.pth): numbered modules, averages in parameters' order.

{"model": state, "ema": {"shadow_params": [tensor, ...], ...}, ...}, where the state's names are
all_modules.<number>.<layer>, in the order in which the network goes through them. The averages have
no names: they are those of the trained parameters, in the state's order. Here each module gets the
name that the same layer has in EDM's arrangement. Nor does the file say what the network was
trained as: PFGM's have one channel more in their result than in their input; of the others a
positional embedding is taken for the VP SDE and a Fourier embedding for the VE SDE.
Source: the layout of yang-song/score_sde_pytorch (Apache-2.0), which Newbeeer/Poisson_flow keeps;
score SDE, arXiv:2011.13456; PFGM, arXiv:2209.11178.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import Part

_NUMBERED = re.compile(r"(?:module\.)?all_modules\.(\d{1,4})\.(.+)")
_LAYERS = {
    "GroupNorm_0": "norm0",
    "Conv_0": "conv0",
    "Dense_0": "affine",
    "GroupNorm_1": "norm1",
    "Conv_1": "conv1",
    "Conv_2": "skip",
}
_PLAIN = re.compile(r"map_layer\d|_conv\Z|_aux_")
# Kept in the state but not trained: noise levels, and the frequencies of the Fourier embedding.
_UNTRAINED = re.compile(r"(.*\.)?(sigmas|W)\Z")

# Of images in [-1, 1]: VP from t = 1e-3 to 1, VE from 0.01 to 50 in [0, 1].
_SCORE_SDE = {"ddpmpp": ("ddpmpp-vp", 0.0105, 152.0), "ncsnpp": ("ncsnpp-ve", 0.02, 100.0)}
# PFGM for CIFAR-10 (arXiv:2209.11178, appendix B): trained on levels up to S = sigma (1 + tau)^M,
# sampled from t = sqrt(2 / pi) S, the mean of |eps_t| (1 + tau)^M, and from norms up to sqrt(d) S.
_PFGM_LEVEL = 0.01 * 1.03**291
_PFGM_TIMES = {"t_min": 1e-3, "t_max": math.sqrt(2 / math.pi) * _PFGM_LEVEL}
# Sides up to so many pixels, and the time below which PFGM infers its field from the part in x.
_PFGM_INFERRED = ((32, 5.0), (64, 1.0), (math.inf, 0.1))

Module = dict[str, Tensor]


def is_checkpoint(found: object) -> bool:
    """Return whether a file's content has the outline of such a checkpoint, numbered modules too.

    Averages under these names are in checkpoints of others as well.
    """
    if not isinstance(found, Mapping):
        return False
    state, ema = found.get("model"), found.get("ema")
    if not isinstance(state, Mapping) or not isinstance(ema, Mapping):
        return False
    return "shadow_params" in ema and any(_NUMBERED.fullmatch(str(name)) for name in state)


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
            raise ZooError(f"{where}: the average of {name[:100]!r} has another shape than it")
    return {**state, **dict(zip(names, shadow, strict=True))}


def renamed(state: Mapping[str, Tensor], side: int, where: str) -> dict[str, Tensor]:
    """Return a state of numbered names, of images of `side` pixels, under those of EDM.

    Raises:
        ZooError: the network is not a DDPM++ or NCSN++ one.
    """
    modules: dict[int, Module] = {}
    for name, value in state.items():
        if match := _NUMBERED.fullmatch(name):
            modules.setdefault(int(match[1]), {})[match[2]] = value
        elif not _UNTRAINED.match(name):
            raise ZooError(f"{where}: {name[:100]!r} is not of a DDPM++ or NCSN++ network")
    try:
        return _renamed([modules[number] for number in sorted(modules)], side)
    except (KeyError, IndexError, RuntimeError, ValueError, StopIteration) as error:
        raise ZooError(
            f"{where}: its modules are not those of a DDPM++ or NCSN++ network of score SDE"
        ) from error


def trained_as(
    network: Part, shape: tuple[int, int, int], state: Mapping[str, Tensor], where: str
) -> tuple[Part, Part, Part]:
    """Return network, kernel and prior of a checkpoint, its state named as in EDM's arrangement.

    Raises:
        ZooError: the result has other channels than an image, or an image and PFGM's one more.
    """
    channels, side = shape[:2]
    more = len(state[f"dec.{side}x{side}_aux_conv.weight"]) - channels
    if more == 0:
        name, low, high = _SCORE_SDE[network.use]
        kernel = Part("gaussian", {"t_min": low, "t_max": high})
        return Part(name, network.options), kernel, Part("gaussian")
    if more != 1 or network.use != "ddpmpp":
        raise ZooError(
            f"{where}: a {network.use} network that makes {channels + more} channels of "
            f"{channels}; of PFGM's, which add one, only DDPM++ is read"
        )
    below = next(time for most, time in _PFGM_INFERRED if side <= most)
    field = Part("ddpmpp-pfgm", {**network.options, "inferred_below": below})
    return field, Part("gravity", _PFGM_TIMES), Part("gravity", {"largest_level": _PFGM_LEVEL})


def _renamed(queue: list[Module], side: int) -> dict[str, Tensor]:
    """Return the state of modules that stand in the order in which the network applies them."""
    pyramid = any("Conv2d_0.weight" in module for module in queue)
    row = torch.tensor([1.0, 3.0, 3.0, 1.0] if pyramid else [1.0, 1.0])
    taps = row.outer(row)[None, None] / row.sum() ** 2
    resamples = [_resamples(module) for module in queue if "Conv_0.weight" in module]
    names = _names(side, sum(resamples) // 2, resamples.index(True), pyramid)
    state = {"map_noise.freqs": queue.pop(0)["W"]} if "W" in queue[0] else {}
    name = ""
    for module in queue:
        if "NIN_0.W" in module:  # behind the block that it belongs to
            found = _attention(module)
        else:
            name = next(names)
            found = _plain(module, taps) if _PLAIN.search(name) else _block(module, taps)
        state |= {f"{name}.{part}": value for part, value in found.items()}
    if [*names]:
        raise ValueError("modules are missing")
    return state


def _names(side: int, halvings: int, blocks: int, pyramid: bool) -> Iterator[str]:
    """Yield what EDM's arrangement calls the modules, attention apart."""
    sides = [side >> level for level in range(halvings + 1)]
    yield from ("map_layer0", "map_layer1", f"enc.{side}x{side}_conv")
    for s in sides:
        if s != side:
            yield f"enc.{s}x{s}_down"
            if pyramid:
                yield f"enc.{s}x{s}_aux_residual"
        yield from (f"enc.{s}x{s}_block{i}" for i in range(blocks))
    for s in reversed(sides):
        first = ("in0", "in1") if s == sides[-1] else ("up",)
        yield from (f"dec.{s}x{s}_{part}" for part in first)
        yield from (f"dec.{s}x{s}_block{i}" for i in range(blocks + 1))
    yield from (f"dec.{side}x{side}_aux_norm", f"dec.{side}x{side}_aux_conv")


def _resamples(module: Module) -> bool:
    """Return whether a block changes the size: a 1x1 skip although the channels stay."""
    skip = module.get("Conv_2.weight")
    return skip is not None and skip.shape[0] == skip.shape[1]


def _plain(module: Module, taps: Tensor) -> Module:
    """Return a single layer; that of the pyramid resamples."""
    if "Conv2d_0.weight" not in module:
        return {part: module[part] for part in ("weight", "bias")}
    found = {part: module[f"Conv2d_0.{part}"] for part in ("weight", "bias")}
    return {**found, "resample_filter": taps}


def _block(module: Module, taps: Tensor) -> Module:
    """Return a residual block."""
    layers = {k: v for k, v in _LAYERS.items() if k != "Conv_2" or "Conv_2.weight" in module}
    parts = [(ours, theirs, part) for theirs, ours in layers.items() for part in ("weight", "bias")]
    found = {f"{ours}.{part}": module[f"{theirs}.{part}"] for ours, theirs, part in parts}
    if _resamples(module):
        found |= {f"{layer}.resample_filter": taps for layer in ("conv0", "skip")}
    return found


def _attention(module: Module) -> Module:
    """Interleave queries, keys and values, of matrices that multiply from the right."""
    matrices = torch.stack([module[f"NIN_{i}.W"].T for i in range(3)], dim=1)
    return {
        **{f"norm2.{part}": module[f"GroupNorm_0.{part}"] for part in ("weight", "bias")},
        "qkv.weight": matrices.flatten(0, 1)[:, :, None, None],
        "qkv.bias": torch.stack([module[f"NIN_{i}.b"] for i in range(3)], dim=1).flatten(),
        "proj.weight": module["NIN_3.W"].T[:, :, None, None],
        "proj.bias": module["NIN_3.b"],
    }

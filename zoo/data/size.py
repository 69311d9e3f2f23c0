"""Whether data are of the size that networks expect: warnings, and the map that makes them so."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from zoo.config.standardise import MOST, Standardise
from zoo.data.images import Images
from zoo.errors import ZooError, ZooWarning

# Numbers per chunk.
_CHUNK = 2**22
# Images of whole numbers up to this, or of real numbers over so little, are told of.
_DARK, _LEAST_SPAN = 31, 0.25
# In units of the network's sigma_data: a coordinate that is larger, or one that is smaller, or
# data that are smaller altogether, are learned badly.
_LARGE, _SMALL, _ALL_SMALL = 8.0, 1 / 50, 1 / 8
# Below this, relative to the mean, a standard deviation is rounding, of float32 and of float64.
_ROUNDING, _FINER = 1e-6, 1e-13


def moments(data: Images) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, float64: of each coordinate (d,), or channel (C,)."""
    mean = torch.stack([x.sum(dim=0) for x in _chunks(data)]).sum(dim=0) / _count(data)
    squares = [(x - mean).square().sum(dim=0) for x in _chunks(data)]
    return mean, (torch.stack(squares).sum(dim=0) / _count(data)).sqrt()


def _count(data: Images) -> int:
    return len(data) * math.prod(data.shape[1:])


def _chunks(data: Images) -> Iterator[Tensor]:
    """Yield the samples as rows of one number per coordinate or channel, float64."""
    size = max(1, _CHUNK // math.prod(data.shape))
    for first in range(0, len(data), size):
        x = data.exact(torch.arange(first, min(first + size, len(data))))
        yield x.flatten(2).transpose(1, 2).flatten(0, 1) if x.ndim > 2 else x


def standardise(data: Images, size: float) -> Standardise:
    """Return the map after which each coordinate, or channel, has mean 0 and the deviation `size`.

    A constant coordinate becomes 0.

    Raises:
        ZooError: vectors of more coordinates than a config.json can hold.
    """
    if len(data.shape) == 1 and data.shape[0] > MOST:
        raise ZooError(
            f"data.standardise takes vectors of at most {MOST:,} coordinates, {data.name} has "
            f"{data.shape[0]:,}; scale the data itself"
        )
    mean, std = moments(data)
    rounding = _FINER if data.images.dtype == torch.float64 else _ROUNDING
    scale = torch.where(std > rounding * mean.abs(), std / size, 1.0)
    return Standardise(tuple(mean.tolist()), tuple(scale.tolist()))


def warn_of_size(data: Images, size: float) -> None:
    """Warn of vectors whose coordinates are not about as large as `size`, their usual deviation."""
    if len(data.shape) != 1:
        return
    mean, std = moments(data)
    there = std > _ROUNDING * mean.abs()
    rms = (mean.square() + std.square()).sqrt() / size
    small = torch.where(there, std / size, 1.0)
    worst = int(rms.argmax())
    if float(rms[worst]) <= _LARGE:
        worst = int(small.argmin())
        altogether = std[there].square().mean().sqrt() / size if bool(there.any()) else 1.0
        if float(small[worst]) >= _SMALL and float(altogether) >= _ALL_SMALL:
            return
    warnings.warn(
        f"{data.name}: coordinate {worst} has mean {float(mean[worst]):.3g} and standard deviation "
        f"{float(std[worst]):.3g}, where the network expects 0 and about {size:g} (its sigma_data)"
        "; set data.standardise = true in the recipe, which samples undo",
        ZooWarning,
        stacklevel=3,
    )


def warn_of_range(data: Images, where: str, dark: int = _DARK) -> None:
    """Warn of images in [0, 1] or of nearly one value, where images are in [-1, 1] or 0 to 255.

    Whole numbers are told of where none is above `dark`.
    """
    if len(data.shape) == 1:
        return
    low, high = float(data.images.min()), float(data.images.max())
    if data.images.dtype == torch.uint8:
        fine, kind, ends = high > min(dark, data.top // 8), "whole numbers", f"0 to {data.top}"
        remedy = f"scale them to 0 to {data.top}"
    else:
        fine, kind, ends = low < 0 and high - low >= _LEAST_SPAN, "real numbers", "-1 to 1"
        remedy = "give 2 x - 1" if low >= 0 else "scale them to -1 to 1"
    if fine or low == high:
        return
    warnings.warn(
        f"{where}: images of {kind} from {low:.3g} to {high:.3g}, where black to white is {ends}; "
        f"{remedy}",
        ZooWarning,
        stacklevel=3,
    )

"""Numbers as tensors: finite, and in 32 bits where that does not round their differences."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.errors import ZooError

# A column that varies by less, of its size or in all, is kept in float64 until it is standardised.
_ROUNDED, _TINY = 1e-3, 1e-30


def check_finite(x: Tensor, where: str) -> None:
    """Raise ZooError unless `x`, shape (N, *), is finite; it counts the samples that are not."""
    bad = (~x.flatten(1).isfinite()).any(dim=1).nonzero().flatten()
    if len(bad):
        raise ZooError(
            f"{where}: {len(bad)} of {len(x)} samples hold NaN or infinity (in float32), "
            f"the first is number {int(bad[0])}; remove them"
        )


def as_rows(x: NDArray[np.float64], where: str) -> Tensor:
    """Return vectors (N, d) as float32, or as they are where that would round their differences."""
    with np.errstate(over="ignore"):
        found = torch.from_numpy(x.astype(np.float32))
    check_finite(found, where)
    low, middle, high = np.percentile(x, (25, 50, 75), axis=0)
    # Of the middle half: one value far away says nothing of what the others lose.
    spread = np.where(high > low, high - low, np.ptp(x, axis=0))
    size = np.abs(middle)
    lost = (spread > 0) & ((spread < _ROUNDED * size) | (spread < _TINY))
    return torch.from_numpy(x) if lost.any() else found

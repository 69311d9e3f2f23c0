"""Scalar products and norms of the rows of a batch."""

from __future__ import annotations

import torch
from torch import Tensor


def row_dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the scalar product of each row of a and b (B, *), (B,), in their dtype."""
    return (a * b).flatten(1).sum(dim=1)


def row_norm(a: Tensor) -> Tensor:
    """Return the length of each row of a (B, *), (B,), in its dtype."""
    size: Tensor = torch.linalg.vector_norm(a.flatten(1), dim=1)
    return size


def beside(numbers: Tensor, x: Tensor) -> Tensor:
    """Return numbers, () or (B,), shaped to go with the rows of x (B, *)."""
    return numbers.reshape(-1, *[1] * (x.ndim - 1))


def power_of_two(a: Tensor) -> Tensor:
    """Return 2^k for each row of a (B, *), (B,), its largest entry being 1 to 2 times as much.

    Divided by it no square overflows, and no digit changes. Rows of zeros, or with entries that
    are not finite, have 1.
    """
    largest = a.flatten(1).abs().amax(dim=1)
    known = (largest > 0) & largest.isfinite()
    exponent = torch.frexp(torch.where(known, largest, 1)).exponent
    return torch.exp2(exponent.to(a.dtype) - 1)

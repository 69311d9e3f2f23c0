"""A distance that a few large differences do not rule."""

from __future__ import annotations

from torch import Tensor

_C = 0.01


def pseudo_huber(difference: Tensor) -> Tensor:
    """Return sqrt(|x|^2 / d + c^2) - c of differences x (B, *) of d coordinates, (B,); c = 0.01.

    Source: arXiv:2310.14189.
    """
    return (difference.flatten(1).square().mean(dim=1) + _C**2).sqrt() - _C

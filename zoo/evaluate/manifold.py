"""Precision, recall, density and coverage: balls around points stand for where a law has mass.

The ball of a point reaches to its k-th neighbour in its own set.
    precision  share of samples inside a ball of a data point
    density    mean number of data balls that hold a sample, over k; data against itself gives 1
    recall     share of data points inside a ball of a sample
    coverage   share of data points whose ball holds a sample
Sources: Kynkaanniemi et al., arXiv:1904.06991, equation 2; Naeem et al., arXiv:2002.09797,
equations 3 to 6 (k = 5).
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.evaluate.distances import blocks, radii

NEIGHBOURS = 5
NAMES = ("precision", "recall", "density", "coverage")


def prdc(
    samples: Tensor, data: Tensor, k: int = NEIGHBOURS, data_radii: Tensor | None = None
) -> Tensor:
    """Return (precision, recall, density, coverage), shape (4,), float64.

    Args:
        samples: features (n, d), n > k.
        data: features (m, d), m > k.
        k: which neighbour a ball reaches to.
        data_radii: `radii(data.double(), k)` where it is known.
    """
    samples, data = samples.double(), data.double()
    around_data = radii(data, k) if data_radii is None else data_radii
    around_samples = radii(samples, k)
    inside = torch.zeros(len(samples))
    recalled = torch.zeros(len(data), dtype=torch.bool)
    covered = torch.zeros(len(data), dtype=torch.bool)
    for rows, square in blocks(samples, data):
        holds = square < around_data
        inside[rows] = holds.sum(dim=1).float()
        covered |= holds.any(dim=0)
        recalled |= (square < around_samples[rows, None]).any(dim=0)
    shares = ((inside > 0).double(), recalled.double(), inside.double() / k, covered.double())
    return torch.stack([share.mean() for share in shares])

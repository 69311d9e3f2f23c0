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

from collections.abc import Iterator

import torch
from torch import Tensor
from tqdm import tqdm

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


# Numbers of one block of distances: 64 MB in float64.
_BLOCK = 8_000_000


def blocks(a: Tensor, b: Tensor, label: str = "") -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, |a_i - b_j|^2 for i in rows), shape (len(rows), m), of a (n, d) and b (m, d).

    In the points' own dtype, by |a|^2 + |b|^2 - 2 a.b, at least 0. A label shows a progress bar.
    """
    size = max(1, _BLOCK // max(1, len(b)))
    squares = b.square().sum(dim=1)
    starts = range(0, len(a), size)
    for first in tqdm(starts, desc=label, disable=None if label else True, leave=False):
        rows = slice(first, min(first + size, len(a)))
        part = a[rows]
        square = torch.addmm(squares.expand(len(part), -1), part, b.T, alpha=-2)
        yield rows, square.add_(part.square().sum(dim=1, keepdim=True)).clamp_(min=0)


def nearest(a: Tensor, b: Tensor, label: str = "") -> Tensor:
    """Return min_j |a_i - b_j|, shape (n,), float64, of a (n, d) and b (m, d).

    The neighbour is found in the points' own dtype; its distance is then computed from the
    difference in float64, so that a copy has distance 0.
    """
    found = torch.empty(len(a), dtype=torch.long)
    for rows, square in blocks(a, b, label):
        found[rows] = square.argmin(dim=1)
    out = torch.empty(len(a), dtype=torch.float64)
    for part in torch.split(torch.arange(len(a)), 4096):
        out[part] = (a[part].double() - b[found[part]].double()).square().sum(dim=1).sqrt()
    return out


def radii(x: Tensor, k: int) -> Tensor:
    """Return the squared distance of each point of x, (n, d), to its k-th neighbour, (n,)."""
    out = torch.empty(len(x), dtype=x.dtype)
    for rows, square in blocks(x, x):
        own = torch.arange(rows.start, rows.stop)
        square[torch.arange(len(own)), own] = torch.inf
        out[rows] = square.topk(k, dim=1, largest=False).values[:, -1]
    return out

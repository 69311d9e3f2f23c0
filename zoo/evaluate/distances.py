"""Euclidean distances between many points, a block of rows at a time, without a big matrix."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from tqdm import tqdm

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

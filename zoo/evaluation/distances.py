"""Distances between two sets of features, in float64.

Frechet distance: each set is taken for a Gaussian, N(m_a, A) and N(m_b, B),

    |m_a - m_b|^2 + tr(A + B - 2 (A^(1/2) B A^(1/2))^(1/2)),

their squared 2-Wasserstein distance. On Inception features it is FID.
Source: Dowson and Landau, 1982; Heusel et al., arXiv:1706.08500, equation 6.

Kernel distance: the unbiased squared maximum mean discrepancy

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j),
    k(x, y) = (x . y / d + 1)^3,

over all pairs, not over random subsets, so it has no randomness of its own. Its expectation for two
sets of one distribution is 0 whatever their size, so it may be negative. On Inception features it
is KID.
Source: Binkowski et al., arXiv:1801.01401, section 3; Gretton et al., 2012, equation 4.

Precision, recall, density and coverage: balls around points stand for the support of a
distribution. The ball of a point reaches to its k-th neighbour in its own set.

    precision  fraction of samples inside a ball of a data point
    density    mean number of data balls that contain a sample, over k; data against itself gives 1
    recall     fraction of data points inside a ball of a sample
    coverage   fraction of data points whose ball contains a sample

Sources: Kynkaanniemi et al., arXiv:1904.06991, equation 2; Naeem et al., arXiv:2002.09797,
equations 3 to 6 (k = 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.sampling.progress import bar

NEIGHBOURS = 5
PRDC_NAMES = ("precision", "recall", "density", "coverage")
# Numbers in one block of pairs: 64 MB in float64.
_BLOCK = 8_000_000


class Gaussian(NamedTuple):
    """Mean (d,) and unbiased covariance (d, d), float64."""

    mean: Tensor
    covariance: Tensor


def fit_gaussian(features: Tensor) -> Gaussian:
    """Return the Gaussian with the moments of features (n, d), n >= 2."""
    x = features.double()
    mean = x.mean(dim=0)
    centred = x - mean
    return Gaussian(mean, centred.T @ centred / (len(x) - 1))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Return the Frechet distance (a square, as FID is), at least 0."""
    values, vectors = torch.linalg.eigh(a.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp(min=0).sqrt().sum()
    traces = a.covariance.trace() + b.covariance.trace()
    shift = (a.mean - b.mean).square().sum()
    return max(0.0, float(shift + traces - 2 * cross))


def mean_kernel(x: Tensor, y: Tensor) -> float:
    """Return mean_{i, j} k(x_i, y_j) of x (n, d) and y (m, d)."""
    x, y = x.double(), y.double()
    parts = torch.split(x, max(1, _BLOCK // len(y)))
    total = sum(float((part @ y.T / y.shape[1] + 1).pow_(3).sum()) for part in parts)
    return total / (len(x) * len(y))


def mean_kernel_within(x: Tensor) -> float:
    """Return mean_{i != j} k(x_i, x_j) of x (n, d), n >= 2."""
    n = len(x)
    diagonal = (x.double().square().sum(dim=1) / x.shape[1] + 1).pow(3).mean()
    return (n * mean_kernel(x, x) - float(diagonal)) / (n - 1)


def kernel_distance(x: Tensor, y: Tensor, within_y: float | None = None) -> float:
    """Return MMD^2 of x (n, d) and y (m, d); `within_y` where mean_kernel_within(y) is known."""
    known = mean_kernel_within(y) if within_y is None else within_y
    return mean_kernel_within(x) + known - 2 * mean_kernel(x, y)


def prdc(
    samples: Tensor, data: Tensor, k: int = NEIGHBOURS, data_radii: Tensor | None = None
) -> Tensor:
    """Return (precision, recall, density, coverage), shape (4,), float64.

    Features are (n, d) and (m, d), n, m > k; `data_radii` is `radii(data.double(), k)` if known.
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
    columns = ((inside > 0).double(), recalled.double(), inside.double() / k, covered.double())
    return torch.stack([column.mean() for column in columns])


def blocks(a: Tensor, b: Tensor, label: str = "") -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, |a_i - b_j|^2 for i in rows), shape (len(rows), m), of a (n, d) and b (m, d).

    In the points' own dtype, by |a|^2 + |b|^2 - 2 a.b, at least 0. A label shows a progress bar.
    """
    size = max(1, _BLOCK // max(1, len(b)))
    squares = b.square().sum(dim=1)
    starts = range(0, len(a), size)
    for first in bar(starts, desc=label, shown=bool(label), leave=False):
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
        diagonal = torch.arange(rows.start, rows.stop)
        square[torch.arange(len(diagonal)), diagonal] = torch.inf
        out[rows] = square.topk(k, dim=1, largest=False).values[:, -1]
    return out

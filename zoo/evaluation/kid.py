"""The kernel distance: unbiased squared maximum mean discrepancy of two sets of features.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j),
    k(x, y) = (x . y / d + 1)^3

over all pairs, not over random subsets, so it has no randomness of its own. It may be negative:
its expectation for two sets of one law is 0 whatever their size. On Inception features it is KID.
Source: Binkowski et al., arXiv:1801.01401, section 3 and equation 4 of Gretton et al. 2012.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 8_000_000


def mean_kernel(x: Tensor, y: Tensor) -> float:
    """Return mean_{i, j} k(x_i, y_j) of x (n, d) and y (m, d), in float64."""
    x, y = x.double(), y.double()
    parts = torch.split(x, max(1, _BLOCK // len(y)))
    total = sum(float((part @ y.T / y.shape[1] + 1).pow_(3).sum()) for part in parts)
    return total / (len(x) * len(y))


def mean_kernel_within(x: Tensor) -> float:
    """Return mean_{i != j} k(x_i, x_j) of x (n, d), n >= 2."""
    n = len(x)
    own = (x.double().square().sum(dim=1) / x.shape[1] + 1).pow(3).mean()
    return (n * mean_kernel(x, x) - float(own)) / (n - 1)


def kernel_distance(x: Tensor, y: Tensor, within_y: float | None = None) -> float:
    """Return MMD^2 of x (n, d) and y (m, d); `within_y` where mean_kernel_within(y) is known."""
    known = mean_kernel_within(y) if within_y is None else within_y
    return mean_kernel_within(x) + known - 2 * mean_kernel(x, y)

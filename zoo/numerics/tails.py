"""How heavy the tail of a law is: P(X > x) ~ x^(-index)."""

from __future__ import annotations

import math

from torch import Tensor

# From fewer rows nothing is said of a tail: the index is known to 1 / sqrt(k) of itself.
_LEAST_TOP = 8
# By so much has the log-likelihood of Pareto's law to be above: by chance light tails get near it.
_MARGIN = 0.25


def hill(x: Tensor, top: int | None = None) -> float:
    """Return Hill's estimate of the tail index of positive numbers x (n,), inf where they end.

        index = k / sum_{i <= k} log(x_(i) / x_(k+1)),   x_(1) >= x_(2) >= ...

    Its relative standard error is 1 / sqrt(k). Source: Hill, Annals of Statistics 3 (1975),
    equation 2.3.

    Args:
        x: numbers, at least k + 1 of them.
        top: k; by default the whole part of sqrt(n).
    """
    top = math.isqrt(len(x)) if top is None else top
    logs = x.double().clamp(min=1e-300).topk(top + 1).values.log()
    mean = float((logs[:-1] - logs[-1]).mean())
    return 1 / mean if mean > 0 else math.inf


def tail_index(x: Tensor) -> float:
    """Return Hill's estimate, or inf where the tail of x (n,) seems to be no power at all.

    The largest k = sqrt(n) are either a Pareto law, P(X > x) = (x / u)^(-index) beyond u, or an
    exponential one, each with its one parameter at its best. They are taken for a Pareto law where
    its log-likelihood is higher by 0.25, or where Hill's estimate is two standard errors below
    log(n) / 2, about what it comes to for an exponential law (u / mean excess, u = log(n / k)).
    inf too where k < 8.
    """
    top = math.isqrt(len(x))
    if top < _LEAST_TOP:
        return math.inf
    far = x.double().clamp(min=1e-300).topk(top + 1).values
    threshold, far = far[-1], far[:-1]
    excess = float((far - threshold).mean())
    index = hill(x, top)
    if excess == 0 or not math.isfinite(index):
        return math.inf
    logs = (far / threshold).log()
    pareto = math.log(index / float(threshold)) - (index + 1) * float(logs.mean())
    exponential = -math.log(excess) - 1
    sure = index * (1 + 2 / math.sqrt(top)) < math.log(len(x)) / 2
    return index if sure or top * (pareto - exponential) > _MARGIN else math.inf

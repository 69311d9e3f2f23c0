"""95 % intervals: from several seeds, or from one set of samples by the jackknife.

Both cover the randomness of drawing samples. They do not cover other data or another training run:
`zoo.evaluation.trainings` pools figures of several.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev

import torch
from msgspec import Struct
from torch import Tensor

GROUPS = 10
LEVEL = 0.95


class Estimate(Struct, frozen=True):
    """A figure with its 95 % interval.

    Attributes:
        value: the mean over seeds.
        low: lower end of the interval.
        high: upper end.
        values: one per seed.
    """

    value: float
    low: float
    high: float
    values: tuple[float, ...]


def student(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t."""
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, degrees))


def from_seeds(values: Sequence[float]) -> Estimate:
    """Return mean +- t s / sqrt(S) of S >= 2 independent values; t has S - 1 degrees."""
    mean = fmean(values)
    half = student(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half, tuple(values))


def from_mean(values: Tensor) -> Estimate:
    """Return the mean of independent values (n,), n >= 2, as one figure with its interval."""
    estimate = from_seeds(values.double().tolist())
    return Estimate(estimate.value, estimate.low, estimate.high, (estimate.value,))


def balanced_classes(classes: int, n: int) -> Tensor | None:
    """Return class numbers of n samples, (n,), equally many of each; None if there are no classes.

    They cycle through the classes, and every cycle starts one class later. So every group of the
    jackknife has samples of all classes.
    """
    if not classes:
        return None
    number = torch.arange(n)
    return (number + number // classes) % classes


def jackknife(statistic: Callable[[Tensor], Tensor], rows: Tensor) -> list[Estimate]:
    """Return the figures of one set of samples, and intervals by the delete-a-group jackknife.

        se^2 = (G - 1) / G sum_g (theta_(g) - mean theta)^2,   value +- t_{G-1} se

    theta_(g) leaves out every G-th sample from g on; G = 10. The bootstrap would repeat samples,
    which a distance takes for a distribution of fewer images.
    Source: Kott, Journal of Official Statistics 17 (2001), 521-526.

    `rows` has one per sample, (n, ...); `statistic` maps rows to K figures, (K,).
    """
    group = torch.arange(len(rows)) % GROUPS
    without = torch.stack([statistic(rows[group != g]) for g in range(GROUPS)]).double()
    spread = (without - without.mean(dim=0)).square().sum(dim=0) * (GROUPS - 1) / GROUPS
    half = student(GROUPS - 1) * spread.sqrt()
    values = statistic(rows).double()
    return [
        Estimate(v, v - h, v + h, (v,)) for v, h in zip(values.tolist(), half.tolist(), strict=True)
    ]

"""The ratio of two distances whose samples grew from the same starting points."""

from __future__ import annotations

import torch

from zoo.evaluation.intervals import Estimate, jackknife
from zoo.evaluation.metrics import METRICS, Samples
from zoo.evaluation.reference import Reference


def frechet_ratio(samples: Samples, base: Samples, reference: Reference) -> Estimate:
    """Return the Frechet distance of `samples` over that of `base`, with its 95 % interval.

    The jackknife leaves out the same samples of both, so that what they share cancels.
    """
    metric = METRICS["frechet"]
    both = torch.stack([samples.features, base.features], dim=1)

    def statistic(rows: torch.Tensor) -> torch.Tensor:
        return metric.compute(rows[:, 0], reference) / metric.compute(rows[:, 1], reference)

    return jackknife(statistic, both)[0]

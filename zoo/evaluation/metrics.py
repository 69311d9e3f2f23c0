"""Metrics of a set of samples, by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.errors import ZooError, did_you_mean
from zoo.evaluation.distances import (
    NEIGHBOURS,
    PRDC_NAMES,
    fit_gaussian,
    frechet_distance,
    kernel_distance,
    prdc,
)
from zoo.evaluation.intervals import GROUPS, Estimate, from_seeds, jackknife
from zoo.evaluation.reference import Reference, round_to_bytes


class Samples(NamedTuple):
    """Images (n, *shape), rounded to 8 bits, and their features (n, d), float64."""

    images: Tensor
    features: Tensor


def with_features(images: Tensor, reference: Reference) -> Samples:
    """Return images (n, *shape) in the data's range with their features."""
    rounded = round_to_bytes(images, reference.data.range)
    return Samples(rounded, reference.extractor.extract(rounded))


class Metric(ABC):
    """One or more named figures, computed from one row per sample.

    Attributes:
        names: the names of the figures, in order.
        min_images: the smallest number of images of the data that it needs.
    """

    names: tuple[str, ...]
    min_images: int = 2

    def rows(self, samples: Samples, reference: Reference) -> Tensor:
        """Return one row per sample, (n, ...), computed from that sample alone: its features."""
        del reference
        return samples.features

    @abstractmethod
    def compute(self, rows: Tensor, reference: Reference) -> Tensor:
        """Return the figures of these rows, shape (len(names),)."""


class Frechet(Metric):
    """The Frechet distance (zoo.evaluation.distances)."""

    names = ("frechet",)

    def compute(self, rows: Tensor, reference: Reference) -> Tensor:
        """Return the distance to the reference, (1,)."""
        value = frechet_distance(fit_gaussian(rows), reference.gaussian)
        return torch.tensor([value], dtype=torch.float64)


class KernelDistance(Metric):
    """The unbiased kernel distance (zoo.evaluation.distances)."""

    names = ("kid",)

    def compute(self, rows: Tensor, reference: Reference) -> Tensor:
        """Return MMD^2 to the reference, (1,)."""
        value = kernel_distance(rows, reference.features, reference.kernel_within)
        return torch.tensor([value], dtype=torch.float64)


class PRDC(Metric):
    """Precision, recall, density and coverage (zoo.evaluation.distances)."""

    names = PRDC_NAMES
    min_images = NEIGHBOURS + 1

    def compute(self, rows: Tensor, reference: Reference) -> Tensor:
        """Return the four figures, (4,)."""
        return prdc(rows, reference.features, data_radii=reference.radii)


class Nearest(Metric):
    """Median distance to the nearest training image, in pixels and in features.

    A model that copies training images has a smaller one than held-out data has. A model of
    smoother images has a smaller one too, so a small distance alone does not prove copies.
    """

    names = ("nearest_pixels", "nearest_features")
    min_images = 1

    def rows(self, samples: Samples, reference: Reference) -> Tensor:
        """Return both distances of each sample, (n, 2)."""
        return reference.distances_to_training(samples.images, samples.features)

    def compute(self, rows: Tensor, reference: Reference) -> Tensor:
        """Return the medians, (2,)."""
        del reference
        return rows.quantile(0.5, dim=0)


METRICS: dict[str, type[Metric]] = {
    "frechet": Frechet,
    "kid": KernelDistance,
    "prdc": PRDC,
    "nearest": Nearest,
}
# Figures of the model itself, not of a set of samples: zoo.evaluation.run computes them.
MODEL_METRICS = ("bits", "classes")
DEFAULT = ("frechet", "kid", "prdc", "nearest")


def parse_metrics(names: str) -> tuple[str, ...]:
    """Return the metrics of a list such as "frechet,kid", each once.

    Raises:
        ZooError: an unknown metric.
    """
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in chosen:
        if name not in METRICS and name not in MODEL_METRICS:
            known = did_you_mean(name, [*METRICS, *MODEL_METRICS])
            raise ZooError(f"no metric {name!r}; {known}")
    return chosen


def measure(metric: Metric, drawn: list[Samples], reference: Reference) -> dict[str, Estimate]:
    """Return the figures of one set of samples per seed, each with its 95 % interval."""
    rows = [metric.rows(samples, reference) for samples in drawn]
    if len(rows) == 1:
        estimates = jackknife(lambda part: metric.compute(part, reference), rows[0])
    else:
        table = torch.stack([metric.compute(part, reference) for part in rows])
        estimates = [from_seeds(column.tolist()) for column in table.T]
    return dict(zip(metric.names, estimates, strict=True))


def min_images(name: str) -> int:
    """Return the smallest number of data images for a metric; an interval of bits takes 2."""
    if name in METRICS:
        return METRICS[name].min_images
    return 2 if name == "bits" else 0


def min_samples(names: tuple[str, ...]) -> int:
    """Return the smallest number of samples for these metrics and their jackknife."""
    return 2 * GROUPS if set(names) & {*METRICS} else 2

"""The figures of a set of samples, by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.errors import ZooError, did_you_mean
from zoo.evaluation import manifold
from zoo.evaluation.frechet import frechet_distance, gaussian_of
from zoo.evaluation.intervals import GROUPS, Estimate, from_seeds, jackknife
from zoo.evaluation.kid import kernel_distance
from zoo.evaluation.reference import Reference, as_written


class Samples(NamedTuple):
    """Images (n, *shape), rounded as files are, and their features (n, d), float64."""

    images: Tensor
    features: Tensor


def samples_of(images: Tensor, reference: Reference) -> Samples:
    """Return images (n, *shape) in the data's range with their features."""
    written = as_written(images, reference.data.range)
    return Samples(written, reference.features.of(written))


class Metric(ABC):
    """Figures with names, computed from one row per sample.

    Attributes:
        names: of the figures, in their order.
        least: images of the data that it takes at least.
    """

    names: tuple[str, ...]
    least: int = 2

    def rows(self, samples: Samples, reference: Reference) -> Tensor:
        """Return what is computed of each sample by itself, (n, ...); its features."""
        del reference
        return samples.features

    @abstractmethod
    def of(self, rows: Tensor, reference: Reference) -> Tensor:
        """Return the figures, shape (len(names),), of such rows."""


class Frechet(Metric):
    """The Frechet distance (zoo.evaluation.frechet)."""

    names = ("frechet",)

    def of(self, rows: Tensor, reference: Reference) -> Tensor:
        """Return the distance to the reference, (1,)."""
        value = frechet_distance(gaussian_of(rows), reference.gaussian)
        return torch.tensor([value], dtype=torch.float64)


class Kernel(Metric):
    """The unbiased kernel distance (zoo.evaluation.kid)."""

    names = ("kid",)

    def of(self, rows: Tensor, reference: Reference) -> Tensor:
        """Return MMD^2 to the reference, (1,)."""
        value = kernel_distance(rows, reference.found, reference.within)
        return torch.tensor([value], dtype=torch.float64)


class Manifold(Metric):
    """Precision, recall, density and coverage (zoo.evaluation.manifold)."""

    names = manifold.NAMES
    least = manifold.NEIGHBOURS + 1

    def of(self, rows: Tensor, reference: Reference) -> Tensor:
        """Return the four shares, (4,)."""
        return manifold.prdc(rows, reference.found, data_radii=reference.radii)


class Nearest(Metric):
    """Median distance to the nearest training image, in pixels and in features.

    A model that copies has a smaller one than held-out data has. So does one whose images are
    smoother than data: near is not yet copied, but far is surely not.
    """

    names = ("nearest_pixels", "nearest_features")
    least = 1

    def rows(self, samples: Samples, reference: Reference) -> Tensor:
        """Return both distances of each sample, (n, 2)."""
        return reference.to_training(samples.images, samples.features)

    def of(self, rows: Tensor, reference: Reference) -> Tensor:
        """Return the medians, (2,)."""
        del reference
        return rows.quantile(0.5, dim=0)


METRICS: dict[str, type[Metric]] = {
    "frechet": Frechet,
    "kid": Kernel,
    "prdc": Manifold,
    "nearest": Nearest,
}
# These are figures of the model, not of a set of samples: zoo.evaluation.run measures them.
OF_THE_MODEL = ("bits", "classes")
DEFAULT = ("frechet", "kid", "prdc", "nearest")


def named(names: str) -> tuple[str, ...]:
    """Return "frechet,kid" taken apart.

    Raises:
        ZooError: an unknown metric.
    """
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in chosen:
        if name not in METRICS and name not in OF_THE_MODEL:
            known = did_you_mean(name, [*METRICS, *OF_THE_MODEL])
            raise ZooError(f"no metric {name!r}; {known}")
    return chosen


def measure(metric: Metric, drawn: list[Samples], reference: Reference) -> dict[str, Estimate]:
    """Return the figures of one set of samples per seed, each with its 95 % interval."""
    rows = [metric.rows(samples, reference) for samples in drawn]
    if len(rows) == 1:
        estimates = jackknife(lambda part: metric.of(part, reference), rows[0])
    else:
        table = torch.stack([metric.of(part, reference) for part in rows])
        estimates = [from_seeds(column.tolist()) for column in table.T]
    return dict(zip(metric.names, estimates, strict=True))


def least_images(name: str) -> int:
    """Return how many images of the data a metric takes at least; bits take two for an interval."""
    return METRICS[name].least if name in METRICS else 2 if name == "bits" else 0


def least_samples(names: tuple[str, ...]) -> int:
    """Return how many samples the metrics take at least, so that the jackknife has them too."""
    return 2 * GROUPS if set(names) & {*METRICS} else 2

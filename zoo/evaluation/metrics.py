"""Metrics of a set of samples, by name; formulas are in zoo.evaluation.distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.config.columns import Column
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
from zoo.evaluation.tails import LEAST_ROWS, TAILS, tail_figures


class Samples(NamedTuple):
    """Images (n, *shape), rounded to 8 bits, and their features (n, d), float64."""

    images: Tensor
    features: Tensor


def with_features(images: Tensor, reference: Reference, columns: Sequence[Column] = ()) -> Samples:
    """Return images (n, *shape) in the data's range with their features.

    They are rounded as the data are: to 8 bits, or to whole numbers in columns of such.
    """
    if reference.data.range is not None:
        rounded = round_to_bytes(images, reference.data.range)
    else:
        rounded = images.double()
        whole = torch.tensor([column.whole for column in columns], dtype=torch.bool)
        rounded = torch.where(whole, rounded.round(), rounded) if len(whole) else rounded
    return Samples(rounded, reference.extract(rounded))


def _features(samples: Samples, _: Reference) -> Tensor:
    return samples.features


@dataclass(frozen=True)
class Metric:
    """One or more named figures, computed from one row per sample.

    Attributes:
        names: the names of the figures, in order.
        compute: (rows, reference) -> the figures, shape (len(names),).
        rows: (samples, reference) -> one row per sample, (n, ...), computed from that sample alone.
        min_images: the smallest number of images of the data that it needs.
    """

    names: tuple[str, ...]
    compute: Callable[[Tensor, Reference], Tensor]
    rows: Callable[[Samples, Reference], Tensor] = _features
    min_images: int = 2

    def figures(self, rows: Tensor, reference: Reference) -> dict[str, float]:
        """Return the figures of these rows by name."""
        return dict(zip(self.names, self.compute(rows, reference).tolist(), strict=True))


def _frechet(rows: Tensor, reference: Reference) -> Tensor:
    value = frechet_distance(fit_gaussian(rows), reference.gaussian)
    return torch.tensor([value], dtype=torch.float64)


def _kernel_distance(rows: Tensor, reference: Reference) -> Tensor:
    value = kernel_distance(rows, reference.features, reference.kernel_within)
    return torch.tensor([value], dtype=torch.float64)


def _prdc(rows: Tensor, reference: Reference) -> Tensor:
    return prdc(rows, reference.features, data_radii=reference.radii)


def _distances(samples: Samples, reference: Reference) -> Tensor:
    return reference.distances_to_training(samples.images, samples.features)


def _vectors(samples: Samples, _: Reference) -> Tensor:
    return samples.images.flatten(1)


def _tails(rows: Tensor, reference: Reference) -> Tensor:
    return tail_figures(rows, reference.images.flatten(1))


def _medians(rows: Tensor, _: Reference) -> Tensor:
    return rows.quantile(0.5, dim=0)


METRICS = {
    "frechet": Metric(("frechet",), _frechet),
    "kid": Metric(("kid",), _kernel_distance),
    "prdc": Metric(PRDC_NAMES, _prdc, min_images=NEIGHBOURS + 1),
    # Median distance to the nearest training image. A model that copies training images has a
    # smaller one than held-out data has. A model of smoother images has a smaller one too, so a
    # small distance alone does not prove copies.
    "nearest": Metric(("nearest_pixels", "nearest_features"), _medians, _distances, min_images=1),
    "tails": Metric(TAILS, _tails, _vectors, min_images=LEAST_ROWS),
}
# Not of one set of samples: zoo.evaluation.run computes them.
_OTHERS = ("bits", "classes")
DEFAULT = ("frechet", "kid", "prdc", "nearest")


def default(shape: tuple[int, ...], rows: int) -> tuple[str, ...]:
    """Return what is measured when nothing is named, of so many samples and data of a shape."""
    return (*DEFAULT, "tails") if len(shape) == 1 and rows >= LEAST_ROWS else DEFAULT


def parse_metrics(names: str) -> tuple[str, ...]:
    """Return the metrics of a list such as "frechet,kid", each once; ZooError if one is unknown."""
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
    known = (*METRICS, *_OTHERS)
    for name in chosen:
        if name not in known:
            raise ZooError(f"no metric {name!r}; {did_you_mean(name, known)}")
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


def needs_samples(names: tuple[str, ...]) -> bool:
    """Return whether any of these metrics is of samples; bits are of the model itself."""
    return names != ("bits",)


def min_images(name: str) -> int:
    """Return the smallest number of data images for a metric; an interval of bits takes 2."""
    if name in METRICS:
        return METRICS[name].min_images
    return 2 if name == "bits" else 0


def min_samples(names: tuple[str, ...]) -> int:
    """Return the smallest number of samples for these metrics and their jackknife."""
    if "tails" in names:
        return LEAST_ROWS
    return 2 * GROUPS if set(names) & {*METRICS} else 2

"""The data that samples are compared with; its features and moments are computed once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from zoo.config.condition import Condition
from zoo.config.standardise import Standardise
from zoo.data import Images, load
from zoo.data.images import MAX_BYTE
from zoo.data.request import NoSplit
from zoo.data.size import standardise
from zoo.errors import ZooError
from zoo.evaluation.distances import (
    NEIGHBOURS,
    Gaussian,
    fit_gaussian,
    mean_kernel_within,
    nearest,
    radii,
)
from zoo.evaluation.features import STANDARDISED, FeatureExtractor
from zoo.evaluation.intervals import balanced_classes


def round_to_bytes(x: Tensor, data_range: tuple[float, float] | None) -> Tensor:
    """Return images in [-1, 1] rounded to 8 bits; data without a range is returned unchanged."""
    if data_range is None:
        return x
    return ((x + 1) * (MAX_BYTE / 2)).round().div_(MAX_BYTE / 2).sub_(1)


def some_rows(n: int, rows: int) -> Tensor:
    """Return the numbers of n of so many rows, (n,), without order; all in turn where n is larger.

    They are always the same, the first of them whatever n is: the first rows of data are no sample
    where these are sorted by class, nor is every k-th where classes take turns.
    """
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
    return order[torch.arange(n) % rows]


def samples_of(data: Images, rows: Tensor | None = None) -> Tensor:
    """Return samples, all or those numbered `rows`.

    Images are in their range, of 8 bits, others as they are, float64.
    """
    rows = torch.arange(len(data)) if rows is None else rows
    exact = data.range is None
    return data.exact(rows) if exact else round_to_bytes(data.batch(rows), data.range)


@dataclass(frozen=True)
class Reference:
    """Held-out data with its features, and the training data of the same reference.

    Attributes:
        ref: the reference of the data, such as "fashion-mnist".
        split: the split that samples are compared with.
        data: that split.
        extractor: computes the features by which images are compared.
        size: side of the images after resizing, in pixels; None if they keep theirs.
    """

    ref: str
    split: str
    data: Images
    extractor: FeatureExtractor
    size: int | None = None

    @cached_property
    def images(self) -> Tensor:
        """The data itself, (m, *shape): images float32, others float64."""
        return samples_of(self.data)

    def labels(self, classes: int, n: int) -> Tensor | None:
        """Return the classes that n samples are to be drawn of, (n,), None for a model without.

        Equally many of each; where samples are given a condition too, the data's, as that is.
        """
        known = self.data.labels
        if not classes or self.data.given is None or known is None:
            return balanced_classes(classes, n)
        return known[some_rows(n, len(known))]

    def conditions(self, n: int) -> Tensor | None:
        """Return what n samples are to be drawn given, (n, *): what `some_rows` of the data are."""
        if self.data.given is None:
            return None
        return self.data.raw_conditions(some_rows(n, len(self.data)))

    @cached_property
    def _units(self) -> Standardise:
        return standardise(self.data, 1.0)

    def extract(self, x: Tensor) -> Tensor:
        """Return the features of x (n, *shape), (n, d), float64.

        Those called "standardised" are of x over the deviation of each column of the data.
        """
        if self.extractor.name == STANDARDISED:
            x = self._units.apply(x.double())
        return self.extractor.extract(x)

    @cached_property
    def features(self) -> Tensor:
        """The features of the data, (m, d), float64."""
        return self.extract(self.images)

    @cached_property
    def gaussian(self) -> Gaussian:
        """Mean and covariance of the features."""
        return fit_gaussian(self.features)

    @cached_property
    def kernel_within(self) -> float:
        """Mean of the KID kernel over pairs of the features."""
        return mean_kernel_within(self.features)

    @cached_property
    def radii(self) -> Tensor:
        """Squared distance of each of the features to its fifth neighbour, (m,)."""
        return radii(self.features, NEIGHBOURS)

    @cached_property
    def training(self) -> tuple[Tensor, Tensor]:
        """The training images as vectors (N, dim), and their features (N, d)."""
        data = load(self.ref, size=self.size)
        images = samples_of(data)
        return images.flatten(1), self.extract(images)

    def distances_to_training(self, images: Tensor, features: Tensor) -> Tensor:
        """Return distances to the nearest training image, (n, 2): in pixels and in features."""
        pixels, training_features = self.training
        in_pixels = nearest(images.flatten(1), pixels, "nearest, pixels")
        in_features = nearest(features, training_features, "nearest, features")
        return torch.stack([in_pixels, in_features], dim=1)

    @cached_property
    def held_out_distances(self) -> Tensor:
        """Distances of the held-out data to its nearest training image, (m, 2)."""
        return self.distances_to_training(self.images, self.features)


def open_reference(
    ref: str,
    shape: tuple[int, ...],
    extractor: FeatureExtractor,
    limit: int | None = None,
    condition: Condition | None = None,
) -> Reference:
    """Return the test split of the data `ref`, or its training split if it has no test split.

    `shape` is that of one sample of the model, `limit` the largest number of images to use,
    `condition` what the model's samples are drawn given.

    Raises:
        ZooError: the data cannot be loaded, or has another shape.
    """
    size = shape[1] if len(shape) == 3 and shape[1] == shape[2] else None
    source = None if condition is None else condition.source or None
    split = "test"
    try:
        data = load(ref, split=split, size=size, condition=source)
    except NoSplit:
        split = "train"
        data = load(ref, split=split, size=size, condition=source)
    if data.shape != shape:
        expected, found = ("x".join(map(str, s)) for s in (shape, data.shape))
        raise ZooError(f"data {ref!r} is of shape {found}, the model's samples of {expected}")
    if condition is not None and data.condition is None:
        raise ZooError(
            f"the model draws samples given a condition, {condition}, and data {ref!r} has none; "
            "config.json says under data.condition.source which"
        )
    if limit is not None and limit < len(data):
        rows = some_rows(limit, len(data))
        labels = None if data.labels is None else data.labels[rows]
        given = data.given and data.given.rows(rows)
        data = replace(data, images=data.images[rows], labels=labels, given=given)
    return Reference(ref, split, data, extractor, size)

"""The data that samples are compared with, and what is computed of it once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from zoo.data import Images, load
from zoo.data.request import NoSplit
from zoo.errors import ZooError
from zoo.evaluation.features import Features
from zoo.evaluation.frechet import Gaussian, gaussian_of
from zoo.evaluation.kid import mean_kernel_within
from zoo.evaluation.manifold import NEIGHBOURS, nearest, radii

LEVELS = 255


def as_written(x: Tensor, ends: tuple[float, float] | None) -> Tensor:
    """Return images in [-1, 1] as a file of 8 bits would hold them; vectors as they are."""
    return x if ends is None else ((x + 1) * (LEVELS / 2)).round().div_(LEVELS / 2).sub_(1)


@dataclass(frozen=True)
class Reference:
    """Held-out data, what it is compared by, and the training data beside it.

    Attributes:
        ref: of the data, "fashion-mnist".
        split: which split the samples are compared with.
        data: that split.
        features: what images are compared by.
    """

    ref: str
    split: str
    data: Images
    features: Features
    size: int | None = None

    @cached_property
    def images(self) -> Tensor:
        """The data itself, (m, *shape), float32."""
        return as_written(self.data.batch(torch.arange(len(self.data))), self.data.range)

    @cached_property
    def found(self) -> Tensor:
        """Its features (m, d), float64."""
        return self.features.of(self.images)

    @cached_property
    def gaussian(self) -> Gaussian:
        """Mean and covariance of the features."""
        return gaussian_of(self.found)

    @cached_property
    def within(self) -> float:
        """The kernel's mean over pairs of the features."""
        return mean_kernel_within(self.found)

    @cached_property
    def radii(self) -> Tensor:
        """Squared distance of each of the features to its fifth neighbour, (m,)."""
        return radii(self.found, NEIGHBOURS)

    @cached_property
    def training(self) -> tuple[Tensor, Tensor]:
        """The training images as vectors (N, dim), float32, and their features (N, d)."""
        data = load(self.ref, size=self.size)
        images = as_written(data.batch(torch.arange(len(data))), data.range)
        return images.flatten(1), self.features.of(images)

    def to_training(self, images: Tensor, features: Tensor) -> Tensor:
        """Return distances to the nearest training image, (n, 2): in pixels and in features."""
        pixels, found = self.training
        return torch.stack(
            [
                nearest(images.flatten(1), pixels, "nearest, pixels"),
                nearest(features, found, "nearest, features"),
            ],
            dim=1,
        )

    @cached_property
    def own_distances(self) -> Tensor:
        """Distances of the data itself to its nearest training image, (m, 2)."""
        return self.to_training(self.images, self.found)


def open_reference(
    ref: str, shape: tuple[int, ...], features: Features, limit: int | None = None
) -> Reference:
    """Return the test split of the data `ref`, or its training split where that is the only one.

    Args:
        ref: of the data.
        shape: of one sample of the model.
        features: what images are compared by.
        limit: use only so many images.

    Raises:
        ZooError: the data is not there, or of another shape.
    """
    size = shape[1] if len(shape) == 3 and shape[1] == shape[2] else None
    split = "test"
    try:
        data = load(ref, split=split, size=size)
    except NoSplit:
        split = "train"
        data = load(ref, split=split, size=size)
    if data.shape != shape:
        expected, found = ("x".join(map(str, s)) for s in (shape, data.shape))
        raise ZooError(f"data {ref!r} is of shape {found}, the model's samples of {expected}")
    if limit is not None and limit < len(data):
        labels = None if data.labels is None else data.labels[:limit]
        data = replace(data, images=data.images[:limit], labels=labels)
    return Reference(ref, split, data, features, size)

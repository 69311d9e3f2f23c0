"""A data set in memory, stored as bytes and scaled to [-1, 1] batch by batch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from zoo.config.condition import Condition
from zoo.config.standardise import Standardise
from zoo.data.condition import Conditions
from zoo.errors import ZooError

MAX_BYTE = 255
MOST_CLASSES = 10**6
_CHUNK = 4096


@dataclass(frozen=True)
class Images:
    """N samples of one shape: images (C, H, W), series (C, L), or vectors (d,).

    Attributes:
        images: (N, C, H, W), (N, C, L) or (N, d); uint8, or float32, which is not scaled; float64
            where data have to be standardised before they are rounded.
        labels: class numbers (N,), int64, or None.
        classes: number of classes, 0 for none.
        name: short name, e.g. for the model card.
        license: the terms under which the data may be used, in words.
        range: of the data, (-1, 1) for images; None for vectors.
        class_names: of the classes by their numbers; () where they have none.
        top: the uint8 value that becomes 1 (0 becomes -1); float data is not scaled.
        standardise: applied to batches; None for batches in `range`.
        given: what each sample is conditioned on besides its label; None for nothing.
    """

    images: Tensor
    labels: Tensor | None
    classes: int
    name: str
    license: str
    range: tuple[float, float] | None = (-1.0, 1.0)
    top: int = MAX_BYTE
    class_names: tuple[str, ...] = ()
    standardise: Standardise | None = None
    given: Conditions | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, (C, H, W), (C, L) or (d,)."""
        return tuple(self.images.shape[1:])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape, samples, labels and conditions, in hexadecimal."""
        found = hashlib.sha256(repr((self.images.shape, self.images.dtype, self.top)).encode())
        values = None if self.given is None else self.given.values
        for part in (self.images, self.labels, values):
            if part is not None:
                found.update(part.contiguous().flatten().view(torch.uint8).numpy().data)
        return found.hexdigest()

    def batch(self, indices: Tensor) -> Tensor:
        """Return a copy of the samples at `indices` (B,), float32, (B, *shape).

        In `range`, or standardised.
        """
        x = self.images[indices]
        if x.dtype == torch.uint8:
            # 255 / 127.5 is exactly 2, so that the ends of the range are exactly -1 and 1.
            x = x.float().div_(self.top / 2).sub_(1)
        return (x if self.standardise is None else self.standardise.apply(x)).float()

    def conditions(self, x: Tensor, indices: Tensor) -> Tensor | None:
        """Return what the samples are given, (B, *), as the network sees it; None for nothing.

        Args:
            x: the samples as `batch` returns them, changed or not: a rule is one of these.
            indices: their numbers (B,).
        """
        if self.given is None:
            return None
        if self.given.values is None and self.standardise is not None:
            x = self.standardise.undo(x)
        return self.given.of(x, indices)

    def raw_conditions(self, indices: Tensor) -> Tensor:
        """Return what the samples numbered `indices` (B,) are given, (B, *), in its own units."""
        assert self.given is not None, "the data have conditions"
        return self.given.raw(replace(self, standardise=None).batch(indices), indices)

    @property
    def condition(self) -> Condition | None:
        """What each sample is conditioned on, None for nothing."""
        return None if self.given is None else self.given.known

    def exact(self, indices: Tensor) -> Tensor:
        """Return the samples at `indices` (B,), float64, neither rounded nor standardised."""
        if self.images.dtype != torch.uint8:
            return self.images[indices].double()
        return replace(self, standardise=None).batch(indices).double()

    def ends(self, like: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return what -1 and 1 are in batches of images such as `like`; None for -1 and 1."""
        if self.standardise is None:
            return None
        one = like.new_ones(1, *self.shape)
        return self.standardise.apply(-one), self.standardise.apply(one)


def check_labels(labels: Tensor | NDArray[Any], n: int, where: str) -> int:
    """Return the number of classes, 1 + the largest of `labels`.

    Raises:
        ZooError: not n labels, or one that is negative or no class of so many as there may be.
    """
    if labels.shape != (n,):
        raise ZooError(f"{where}: labels of shape {tuple(labels.shape)} for {n} samples")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= MOST_CLASSES:
        raise ZooError(
            f"{where}: label {low if low < 0 else high}; labels are class numbers from 0, less "
            f"than {MOST_CLASSES:,}"
        )
    return high + 1


def _resize(x: Tensor, size: int) -> Tensor:
    """Return x, (B, C, H, W) in [-1, 1], as (B, C, size, size); bilinear, so the range stays."""
    short = min(x.shape[-2:])
    for axis in (-2, -1):  # of a long side only the middle is scaled, with what borders on it
        if (end := (x.shape[axis] - 4 * short) // 2) > 0:
            x = x.narrow(axis, end, 4 * short)
    height, width = x.shape[-2:]
    scaled = (round(height * size / short), round(width * size / short))
    x = interpolate(x, scaled, mode="bilinear", antialias=True)
    top = (scaled[0] - size) // 2
    left = (scaled[1] - size) // 2
    return x[..., top : top + size, left : left + size]


def resize(data: Images, size: int) -> Images:
    """Return `data` with images of size x size; bytes stay bytes, in 0 to 255.

    Raises:
        ZooError: `data` holds vectors.
    """
    if len(data.shape) != 3:
        raise ZooError(f"{data.name} holds vectors, not images; size = {size} does not apply")
    if data.shape[1:] == (size, size):
        return data
    whole = data.images.dtype == torch.uint8
    out = torch.empty((len(data), data.shape[0], size, size), dtype=data.images.dtype)
    for chunk in torch.split(torch.arange(len(data)), _CHUNK):
        x = _resize(data.batch(chunk), size)
        out[chunk] = ((x + 1) * (MAX_BYTE / 2)).round().to(torch.uint8) if whole else x
    return replace(data, images=out, top=MAX_BYTE)

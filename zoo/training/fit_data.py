"""The data of `zoo.fit`: checked, split into a part to train on and one held out, standardised."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import torch

from zoo.config.recipe import ARRAY
from zoo.data import Images
from zoo.data.images import check_labels
from zoo.data.npz import from_arrays
from zoo.data.table import (
    Table,
    array_of,
    class_numbers,
    dequantised,
    largest_radius,
    library_of,
    robust_standardise,
    table_of,
)
from zoo.errors import ZooError, ZooWarning, brief

# Fewer rows say nothing of a density.
LEAST_ROWS = 8
_MOST_HELD_OUT = 10_000
# So many draws of noise have a mean loss that tells a better network from a worse one.
_LEAST_DRAWS = 2_048


@dataclass(frozen=True)
class Prepared:
    """Data of `zoo.fit`.

    Attributes:
        data: to train on; rows with the map that standardises them.
        held_out: not used in training, few of them repeated; or None.
        held: number of samples held out.
        table: where the data are rows; without its values.
        standardise: whether images are to be standardised.
        heavy: number of columns with heavy tails.
        radius: the largest |z| / sqrt(d) of what the network sees.
    """

    data: Images
    held_out: Images | None
    held: int
    table: Table | None = None
    standardise: bool = False
    heavy: int = 0
    radius: float = 1.0


def prepare(
    X: Any, labels: Any, validation: Any, seed: int, *, standardise: bool | None, size: float
) -> Prepared:
    """Return the data of `fit`; rows standardised to the deviation `size`.

    Raises:
        ZooError: as `fit`, of its data.
    """
    samples, table = _samples(X, labels, seed, "X")
    data, held_out = _split(samples, table, validation, seed)
    held = 0 if held_out is None else len(held_out)
    if table is None:
        return Prepared(data, held_out, held, standardise=bool(standardise))
    if held_out is not None and held < _LEAST_DRAWS:
        held_out = _repeated(held_out, -(-_LEAST_DRAWS // held))
    if len(samples) < samples.shape[0]:
        warnings.warn(
            f"X has {len(samples):,} rows of {samples.shape[0]:,} columns: with fewer rows than "
            "columns, samples will be near these rows",
            ZooWarning,
            stacklevel=3,
        )
    known, heavy = None, 0
    if standardise is not False:
        known, heavy = robust_standardise(data.images.numpy(), size)
    radius = largest_radius(samples.images.numpy(), known)
    data = replace(data, standardise=known)
    return Prepared(data, held_out, held, table, False, heavy, radius)


def _samples(X: Any, labels: Any, seed: int, where: str) -> tuple[Images, Table | None]:
    """Return X as a data set, and as a table without values where it is rows."""
    named = isinstance(X, Table) or library_of(X) is not None
    array = None if named else array_of(X, where)
    n = len(X) if array is None else len(array)
    if n < LEAST_ROWS and where == "X":
        raise ZooError(
            f"X has {n} rows; a density takes at least {LEAST_ROWS}, and hundreds to be any good"
        )
    numbers, names = (None, ()) if labels is None else class_numbers(labels, n)
    if array is not None and array.ndim > 2:
        images = from_arrays(array, numbers, name=ARRAY, where=where)
        return replace(images, class_names=names), None
    table = table_of(X if array is None else array, where)
    values = dequantised(table, seed)
    classes = None if numbers is None else torch.from_numpy(numbers)
    count = 0 if classes is None else check_labels(classes, n, where)
    samples = Images(values, classes, count, ARRAY, "not stated", range=None, class_names=names)
    return samples, replace(table, values=np.empty((0, values.shape[1])))


def _split(
    samples: Images, table: Table | None, validation: Any, seed: int
) -> tuple[Images, Images | None]:
    """Return the part to train on and the one held out, drawn at random or given."""
    if not isinstance(validation, Real) and validation is not None:
        given = validation if isinstance(validation, tuple) else (validation, None)
        if len(given) != 2:
            raise ZooError("validation is a tuple; expected (X, labels)")
        held_out, other = _samples(*given, seed, "validation")
        if held_out.shape != samples.shape:
            raise ZooError(
                f"validation has shape {held_out.shape} per sample, X has {samples.shape}"
            )
        if table is not None and other is not None and table.columns != other.columns:
            raise ZooError("validation has other columns than X; give the same, in the same order")
        return samples, held_out
    part = 0.0 if validation is None else float(validation)
    if not 0 <= part < 1:
        raise ZooError(
            f"validation = {brief(validation)}; expected a fraction in [0, 1), or held-out data"
        )
    count = min(math.ceil(part * len(samples)), _MOST_HELD_OUT, len(samples) - 1)
    if not count:
        return samples, None
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    held = torch.zeros(len(samples), dtype=torch.bool)
    held[order[:count]] = True
    return _rows(samples, ~held), _rows(samples, held)


def _rows(samples: Images, chosen: torch.Tensor) -> Images:
    labels = samples.labels
    return replace(
        samples,
        images=samples.images[chosen],
        labels=None if labels is None else labels[chosen],
    )


def _repeated(samples: Images, times: int) -> Images:
    """Return each sample so many times, each with noise of its own in a loss."""
    labels = samples.labels
    return replace(
        samples,
        images=samples.images.repeat(times, *[1] * len(samples.shape)),
        labels=None if labels is None else labels.repeat(times),
    )

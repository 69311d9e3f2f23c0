"""The data of `zoo.fit`: checked, split into a part to train on and one held out, standardised."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from zoo.config.recipe import ARRAY
from zoo.data import Images
from zoo.data.condition import Conditions, by_rule, of_array
from zoo.data.images import check_labels
from zoo.data.npz import from_arrays
from zoo.data.table import (
    Table,
    array_of,
    check_values,
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
    X: Any,
    labels: Any,
    condition: Any,
    validation: Any,
    seed: int,
    *,
    standardise: bool | None,
    size: float,
) -> Prepared:
    """Return the data of `fit`; rows and series standardised to the deviation `size`.

    Raises:
        ZooError: as `fit`, of its data.
    """
    samples, table = _samples(X, labels, condition, seed, "X")
    data, held_out = _split(samples, table, validation, seed)
    held = 0 if held_out is None else len(held_out)
    if table is None:
        return Prepared(data, held_out, held, standardise=bool(standardise))
    if held_out is not None and held < _LEAST_DRAWS:
        held_out = _repeated(held_out, -(-_LEAST_DRAWS // held))
    series = len(samples.shape) == 2
    if len(samples) < samples.shape[0] and not series:
        warnings.warn(
            f"X has {len(samples):,} rows of {samples.shape[0]:,} columns: with fewer rows than "
            "columns, samples will be near these rows",
            ZooWarning,
            stacklevel=3,
        )
    known, heavy = None, 0
    if standardise is not False:
        values = data.images.numpy()
        known, heavy = robust_standardise(_by_channel(values) if series else values, size)
    radius = largest_radius(samples.images.numpy(), known)
    data = replace(data, standardise=known)
    return Prepared(data, held_out, held, table, False, heavy, radius)


def _samples(
    X: Any, labels: Any, condition: Any, seed: int, where: str
) -> tuple[Images, Table | None]:
    """Return X as a data set, and as a table without values where it is rows or series."""
    samples, table = _unconditional(X, labels, seed, where)
    if condition is None:
        return samples, table
    if isinstance(condition, str):
        return replace(samples, given=by_rule(condition, samples.shape)), table
    name = "condition" if where == "X" else f"condition of the {where}"
    return replace(samples, given=_conditions(condition, len(samples), name)), table


def _conditions(condition: Any, n: int, where: str) -> Conditions:
    """Return what each of n samples is given."""
    if library_of(condition) is None and not isinstance(condition, Table):
        return of_array(_array_of_numbers(condition, where), n, source=ARRAY, where=where)
    table = table_of(condition, where, constant=True)
    found = of_array(table.values, n, source=ARRAY, where=where)
    known = msgspec.structs.replace(found.known, columns=table.columns)
    return replace(found, known=known)


def _array_of_numbers(condition: Any, where: str) -> NDArray[Any]:
    """Return conditions as an array; `array_of` says what is wrong but that there is one each."""
    shape = getattr(condition, "shape", None)
    if shape is not None and len(shape) == 1:
        raise ZooError(f"{where} has shape {tuple(shape)}; expected (n, k): give it as [:, None]")
    return array_of(condition, where)


def _unconditional(X: Any, labels: Any, seed: int, where: str) -> tuple[Images, Table | None]:
    named = isinstance(X, Table) or library_of(X) is not None
    array = None if named else array_of(X, where)
    n = len(X) if array is None else len(array)
    if n < LEAST_ROWS and where == "X":
        raise ZooError(
            f"X has {n} rows; a density takes at least {LEAST_ROWS}, and hundreds to be any good"
        )
    numbers, names = (None, ()) if labels is None else class_numbers(labels, n)
    if array is not None and array.ndim > 3:
        images = from_arrays(array, numbers, name=ARRAY, where=where)
        return replace(images, class_names=names), None
    if array is not None and array.ndim == 3:
        table, values = _series(array, where)
    else:
        table = table_of(X if array is None else array, where)
        values = dequantised(table, seed)
    classes = None if numbers is None else torch.from_numpy(numbers)
    count = 0 if classes is None else check_labels(classes, n, where)
    samples = Images(values, classes, count, ARRAY, "not stated", range=None, class_names=names)
    return samples, replace(table, values=np.empty((0, values.shape[1])))


def _by_channel(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return series (n, C, L) as rows (n L, C)."""
    return series.transpose(0, 2, 1).reshape(-1, series.shape[1])


def _series(array: NDArray[Any], where: str) -> tuple[Table, torch.Tensor]:
    """Return a table of the channels of series (n, C, L), checked, and the series, float64."""
    values = array.astype(np.float64)
    table = Table(_by_channel(values), whole=np.zeros(array.shape[1], bool), kind="channel")
    check_values(table, where)
    return table, torch.from_numpy(values)


def _split(
    samples: Images, table: Table | None, validation: Any, seed: int
) -> tuple[Images, Images | None]:
    """Return the part to train on and the one held out, drawn at random or given."""
    if not isinstance(validation, Real) and validation is not None:
        given = validation if isinstance(validation, tuple) else (validation, None)
        if len(given) not in (2, 3):
            raise ZooError("validation is a tuple; expected (X, labels) or (X, labels, condition)")
        if samples.given is not None and samples.given.values is None:
            given = (*given[:2], samples.given.known.source)
        x, labels, condition = (*given, None)[:3]
        held_out, other = _samples(x, labels, condition, seed, "validation")
        _check_same_condition(held_out.given, samples.given)
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


def _check_same_condition(found: Conditions | None, expected: Conditions | None) -> None:
    """Raise ZooError unless held-out data are given what the others are, in the same order."""
    shapes = [None if each is None else each.known.shape for each in (found, expected)]
    if shapes[0] != shapes[1]:
        raise ZooError(
            f"validation has conditions of shape {shapes[0]}, X of {shapes[1]}; give "
            "validation=(X, labels, condition)"
        )
    names = [[column.name for column in each.known.columns] for each in (found, expected) if each]
    if names and all(names) and names[0] != names[1]:
        raise ZooError(
            "the condition of the validation has other columns than that of X; give the same, in "
            "the same order"
        )


def _rows(samples: Images, chosen: torch.Tensor) -> Images:
    labels = samples.labels
    return replace(
        samples,
        images=samples.images[chosen],
        labels=None if labels is None else labels[chosen],
        given=None if samples.given is None else samples.given.rows(chosen),
    )


def _repeated(samples: Images, times: int) -> Images:
    """Return each sample so many times, each with noise of its own in a loss."""
    labels = samples.labels
    return replace(
        samples,
        images=samples.images.repeat(times, *[1] * len(samples.shape)),
        labels=None if labels is None else labels.repeat(times),
        given=None if samples.given is None else samples.given.repeated(times),
    )

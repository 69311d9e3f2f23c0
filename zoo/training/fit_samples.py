"""What `zoo.fit` is given, X, labels and conditions, as a data set; checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from zoo.config.recipe import ARRAY
from zoo.data import Images
from zoo.data.condition import Conditions, by_rule, is_rule, of_array
from zoo.data.images import check_labels
from zoo.data.npz import from_arrays
from zoo.data.size import warn_of_range
from zoo.data.table import (
    Table,
    array_of,
    check_values,
    dequantised,
    library_of,
    one_column,
    table_of,
)
from zoo.errors import ZooError, brief
from zoo.training.classes import class_numbers

# Fewer rows say nothing of a density.
LEAST_ROWS = 8


def source_of(condition: Any) -> str | None:
    """Return the rule or the name of the array that conditions are; None for none."""
    if condition is None or isinstance(condition, str):
        return condition
    return condition.known.source if isinstance(condition, Conditions) else ARRAY


def samples_of(
    X: Any, labels: Any, condition: Any, seed: int, where: str
) -> tuple[Images, Table | None]:
    """Return X as a data set, and as a table without values where it is rows or series."""
    samples, table = _unconditional(X, labels, seed, where)
    if condition is None:
        return samples, table
    if isinstance(condition, str):
        if not is_rule(condition):
            raise ZooError(
                f"condition = {brief(condition)} is no rule of images, such as downscale:2; give "
                "the values: a column as df[[name]], and leave it out of X"
            )
        return replace(samples, given=by_rule(condition, samples.shape)), table
    name = "condition" if where == "X" else f"condition of the {where}"
    return replace(samples, given=_conditions(condition, len(samples), name)), table


def _conditions(condition: Any, n: int, where: str) -> Conditions:
    """Return what each of n samples is given; `Conditions` as they are."""
    if isinstance(condition, Conditions):
        return condition
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
        one = one_column(condition)
        raise ZooError(f"{where} has shape {tuple(shape)}; expected (n, k): give it as {one}")
    return array_of(condition, where)


def _unconditional(X: Any, labels: Any, seed: int, where: str) -> tuple[Images, Table | None]:
    named = isinstance(X, Table) or library_of(X) is not None
    array = None if named else array_of(X, where)
    n = len(X) if array is None else len(array)
    if n < LEAST_ROWS and where == "X":
        raise ZooError(
            f"X has {n} rows; a density takes at least {LEAST_ROWS}, and hundreds to be any good"
        )
    called = "labels" if where == "X" else f"labels of the {where}"
    numbers, names = (None, ()) if labels is None else class_numbers(labels, n, called)
    count = 0 if numbers is None else check_labels(numbers, n, where)
    if count > n and where == "X":
        raise ZooError(
            f"labels go to {count - 1:,} in {n:,} rows, which leaves classes without any; number "
            "them 0, 1, 2, ..., or give them as text"
        )
    if array is not None and array.ndim > 3:
        images = from_arrays(array, numbers, name=ARRAY, where=where)
        warn_of_range(images, where)
        return replace(images, class_names=names), None
    if array is not None and array.ndim == 3:
        table, values = _series(array, where)
    else:
        table = table_of(X if array is None else array, where)
        values = dequantised(table, seed)
    classes = None if numbers is None else torch.from_numpy(numbers.astype(np.int64))
    samples = Images(values, classes, count, ARRAY, "not stated", range=None, class_names=names)
    return samples, replace(table, values=np.empty((0, values.shape[1])))


def by_channel(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return series (n, C, L) as rows (n L, C)."""
    return series.transpose(0, 2, 1).reshape(-1, series.shape[1])


def _series(array: NDArray[Any], where: str) -> tuple[Table, torch.Tensor]:
    """Return a table of the channels of series (n, C, L), checked, and the series, float64."""
    values = array.astype(np.float64)
    table = Table(by_channel(values), whole=np.zeros(array.shape[1], bool), kind="channel")
    check_values(table, where, each=array.shape[2])
    return table, torch.from_numpy(values)

"""Arrays and data frames as rows of numbers: which columns there are, and whether they can be used.

A column of whole numbers becomes a density by uniform noise of width 1, which rounding takes away
again: the density at a whole number is its probability (arXiv:1511.01844, section 3.1).
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.config.columns import DTYPE, MOST_COLUMNS, Column, check_columns
from zoo.config.standardise import MOST, Standardise
from zoo.data.spread import ROUNDING, centre_and_spread
from zoo.errors import ZooError, brief, one_line, shown

Values = NDArray[np.float64]
# Larger numbers have no square.
_LARGEST = 1e100
# From here on float64 holds not every whole number.
_WHOLE = 2**53
# Rows at a time, of a table with few columns.
_CHUNK = 2**22


@dataclass(frozen=True)
class Table:
    """Rows of numbers, with the names of their columns where they have some.

    Attributes:
        values: (n, d), float64.
        columns: names and types, () of an array.
        whole: which columns hold whole numbers, (d,).
        frame: library of the data frame.
        kind: what errors call a column.
        dtype: type of the whole numbers where columns have no names.
    """

    values: Values
    columns: tuple[Column, ...] = ()
    whole: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    frame: Literal["pandas", "polars"] = "pandas"
    kind: str = "column"
    dtype: str = "int64"

    def __len__(self) -> int:
        return len(self.values)

    @property
    def kept(self) -> tuple[Column, ...]:
        """Columns as a model keeps them: x0, x1, ... where whole numbers have no names.

        () without whole numbers, or of more columns than a config.json can name.
        """
        if self.columns or not self.whole.any() or len(self.whole) > MOST_COLUMNS:
            return self.columns
        types = [self.dtype if whole else "float64" for whole in self.whole]
        return tuple(Column(f"x{i}", dtype) for i, dtype in enumerate(types))

    def called(self, i: int) -> str:
        """Return what errors call column i."""
        return f"{self.kind} {shown(repr(self.columns[i].name), 80) if self.columns else i}"


def library_of(x: object) -> Literal["pandas", "polars"] | None:
    """Return whose DataFrame x is, None if it is none; neither library is imported for it."""
    names: tuple[Literal["pandas", "polars"], ...] = ("pandas", "polars")
    for name in names:
        kind = getattr(sys.modules.get(name), "DataFrame", None)
        if isinstance(kind, type) and isinstance(x, kind):
            return name
    return None


def array_of(x: Any, where: str = "X") -> NDArray[Any]:
    """Return an array, a tensor or nested lists as an array.

    Raises:
        ZooError: it holds no numbers, or rows of several lengths.
    """
    try:
        array = _array(x)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ZooError(
            f"{where} cannot be made an array ({one_line(error)}); expected numbers in rows of one "
            "length"
        ) from error
    if array.dtype.kind not in "biuf":
        kind = "text" if array.dtype.kind in "US" else f"{array.dtype}"
        lazy = "; collect() a lazy frame first" if hasattr(x, "collect") else ""
        raise ZooError(
            f"{where} holds {kind}, shape {array.shape}; expected real numbers: write categories "
            f"as numbers, or give them as labels={lazy}"
        )
    if array.ndim < 2 or not array.size:
        flat = array.ndim == 1 and array.size
        one = f"; for one column give {one_column(x, 'X')}" if flat else ""
        raise ZooError(
            f"{where} has shape {array.shape}; expected vectors (n, d) or images (n, C, H, W){one}"
        )
    return array


def one_column(x: Any, name: str = "") -> str:
    """Return how to write x (n,), called `name`, as one column: [:, None], or df[["age"]]."""
    if not hasattr(x, "to_frame"):  # which a Series of pandas or polars has
        return f"{name}[:, None]"
    called = getattr(x, "name", None)
    return f"{name}.to_frame()" if called in (None, "") else f"df[[{brief(called, 60)}]]"


def _array(x: Any) -> NDArray[Any]:
    """Return x as an array: of bfloat16, which NumPy lacks, float32; NaN where it is masked."""
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return np.asarray((x.float() if x.dtype == torch.bfloat16 else x).numpy())
    if np.ma.is_masked(x) and x.dtype.kind in "biuf":
        x = x.astype(np.float64).filled(np.nan)
    return np.asarray(x)


def table_of(x: Any, where: str = "X", *, constant: bool = False) -> Table:
    """Return a data frame, or an array (n, d), as a checked table; a Table as it is.

    Raises:
        ZooError: columns that hold no numbers, or missing, infinite or, unless they may be
            `constant`, constant values.
    """
    if isinstance(x, Table):
        return x
    library = library_of(x)
    if library is None:
        array = array_of(x, where)
        whole = np.full(array.shape[1], array.dtype.kind in "biu")
        table = Table(array.astype(np.float64), whole=whole, dtype=array.dtype.name)
    else:
        names = list(x.columns)
        dtypes = [str(dtype) for dtype in x.dtypes]
        columns = tuple(
            _column(name, dtype, where) for name, dtype in zip(names, dtypes, strict=True)
        )
        check_columns(columns, where)
        if not len(x) or not columns:
            raise ZooError(f"{where} has {len(x):,} rows and {len(columns)} columns; both need one")
        values = np.empty((len(x), len(columns)))
        for i in range(len(columns)):
            values[:, i] = _values(x, i, library)
        table = Table(values, columns, np.array([c.whole for c in columns]), library)
    check_values(table, where, constant=constant)
    return table


def _column(name: Any, dtype: str, where: str) -> Column:
    if isinstance(name, np.integer):
        name = int(name)
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise ZooError(f"{where}: a column is called {brief(name)}; expected text or whole numbers")
    if isinstance(name, str) and not name.isprintable():
        raise ZooError(f"{where}: the name {shown(repr(name), 80)} has control characters")
    if not re.match(DTYPE, dtype):
        raise ZooError(
            f"{where}: column {shown(repr(name), 80)} is of type {shown(dtype, 60)}; expected "
            "numbers: write categories as numbers, give them as labels=, or leave the column out"
        )
    return Column(name, dtype)


def _values(x: Any, i: int, library: str) -> Values:
    """Return the numbers of one column, NaN where some are missing."""
    if library == "polars":
        series = x.get_columns()[i]
        return np.asarray(series.cast(sys.modules["polars"].Float64).to_numpy(), dtype=np.float64)
    return np.asarray(x.iloc[:, i].to_numpy(dtype="float64", na_value=np.nan))


def check_values(table: Table, where: str, *, constant: bool = False, each: int = 1) -> None:
    """Raise ZooError for a column with missing, infinite or too large values, or only one value.

    (Which it may have if it may be `constant`.) `each` sample has so many of the table's rows.
    """
    sample, all_of = ("row", "rows") if table.kind == "column" else ("series", "series")
    for i in range(table.values.shape[1]):
        column = table.values[:, i]
        low, high = column.min(), column.max()
        if not (math.isfinite(low) and math.isfinite(high)):
            missing, infinite = int(np.isnan(column).sum()), int(np.isinf(column).sum())
            first = int(np.flatnonzero(~np.isfinite(column))[0]) // each
            raise ZooError(
                f"{where}: {table.called(i)} has {missing:,} missing (NaN) and {infinite:,} "
                f"infinite values of {len(column):,}, the first in {sample} {first}; fill them in, "
                "or leave these out"
            )
        if max(-low, high) > _LARGEST:
            raise ZooError(
                f"{where}: {table.called(i)} goes from {low:.3g} to {high:.3g}; scale it to less "
                f"than {_LARGEST:g}"
            )
        if not constant and len(column) > 1 and high - low <= ROUNDING * max(abs(low), abs(high)):
            if high > low or abs(high) >= _WHOLE:
                raise ZooError(
                    f"{where}: values of {table.called(i)} are too near each other for float64, "
                    f"all {column[0]:g} up to rounding; subtract that, or leave the {table.kind} "
                    "out"
                )
            raise ZooError(
                f"{where}: {table.called(i)} is {column[0]:g} in all {len(column) // each:,} "
                f"{all_of}, which has no density; leave the {table.kind} out"
            )


def dequantised(table: Table, seed: int) -> Tensor:
    """Return the values (n, d), float64, uniform noise of width 1 added to whole numbers."""
    values = table.values
    chance = np.random.default_rng(seed)
    for i in np.flatnonzero(table.whole):
        values[:, i] += chance.random(len(values)) - 0.5
    return torch.from_numpy(values)


def robust_standardise(values: Values, size: float) -> tuple[Standardise, int]:
    """Return the map after which columns have mean 0 and the deviation `size`, and how many cannot.

    Those cannot that have heavy tails, see `centre_and_spread`.

    Raises:
        ZooError: more columns than a config.json can hold.
    """
    if values.shape[1] > MOST:
        raise ZooError(
            f"X has {values.shape[1]:,} columns; standardise = True takes at most {MOST:,}: scale "
            "them yourself and say standardise=False"
        )
    centres, scales, heavy = [], [], 0
    for i in range(values.shape[1]):
        centre, spread, tails = centre_and_spread(values[:, i])
        heavy += tails
        centres.append(centre)
        scales.append((spread or 1.0) / size)
    return Standardise(tuple(centres), tuple(scales)), heavy


def largest_radius(values: Values, known: Standardise | None) -> float:
    """Return the largest |z| / sqrt(d) of the data z (n, *shape) that the network sees."""
    rows, largest = max(1, _CHUNK // values[0].size), 0.0
    for first in range(0, len(values), rows):
        x = torch.from_numpy(values[first : first + rows])
        z = x if known is None else known.apply(x)
        largest = max(largest, float(z.flatten(1).square().mean(dim=1).max()))
    return math.sqrt(largest)

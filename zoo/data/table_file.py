"""Tables in files: TABLE.csv, TABLE.tsv, TABLE.parquet."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from zoo.config.columns import Column, check_columns
from zoo.data.table import Table, Values, check_values, table_of
from zoo.errors import ZooError, error_context, one_line, shown
from zoo.files import refuse_pointer

SUFFIXES = (".csv", ".tsv", ".parquet")
_LONGEST_LINE = 1_000_000
# Of a class number, which an int64 holds.
_DIGITS = 18
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_BOOLEANS = {"true": 1.0, "false": 0.0}


def read_table(
    path: Path,
    leave_out: str | None = None,
    *,
    constant: bool = False,
    names: Sequence[str] | None = None,
) -> tuple[Table, Any]:
    """Return the table in a file, and the values of the column `leave_out`; None if none is named.

    Columns may be `constant` in one that is no table to fit. Numbers in the first line of a .csv
    are names where they are these `names`; if none are given, where pandas wrote them.

    Raises:
        ZooError: no such file, another ending, no such column, a value that is no number; or as
            `table_of`.
    """
    if path.suffix not in SUFFIXES:
        raise ZooError(f"{path}: expected a file ending in {', '.join(SUFFIXES)} or .npz")
    if not path.is_file():
        raise ZooError(f"{path}: there is no such file")
    refuse_pointer(path)
    if path.suffix == ".parquet":
        return _parquet(path, leave_out, constant)
    table, labels = _csv(path, leave_out, names)
    check_values(table, str(path), constant=constant)
    return table, labels


def split_off(table: Table, labels: Any, names: Sequence[str]) -> tuple[Table, Any, Table]:
    """Return the table without the columns of these names, the labels, and these columns.

    Raises:
        ZooError: there is no such column, or none is left.
    """
    there = [str(column.name) for column in table.columns]
    chosen = [_place(name, there) for name in names]
    left = [i for i in range(len(there)) if i not in chosen]
    if not left:
        raise ZooError("every column is a condition; leave one to be drawn")
    return _some(table, left), labels, _some(table, chosen)


def _some(table: Table, columns: list[int]) -> Table:
    return replace(
        table,
        values=table.values[:, columns],
        columns=tuple(table.columns[i] for i in columns),
        whole=table.whole[columns],
    )


def _parquet(path: Path, leave_out: str | None, constant: bool) -> tuple[Table, Any]:
    """Return the table of a parquet file, read by pandas or polars."""
    readers = {"pandas": ("pandas", "pyarrow"), "polars": ("polars",)}
    name = next((name for name, needed in readers.items() if all(map(find_spec, needed))), None)
    if name is None:
        raise ZooError(
            f"{path}: reading parquet needs pandas and pyarrow, or polars: "
            "pip install pandas pyarrow"
        )
    try:
        frame = import_module(name).read_parquet(path)
    except Exception as error:  # pandas' and Arrow's own
        raise ZooError(f"{path}: cannot be read as parquet: {one_line(error)[:200]}") from error
    labels = None
    if leave_out is not None:
        with error_context(path):
            _place(leave_out, [str(name) for name in frame.columns])
        labels = frame[leave_out].to_numpy()
        frame = frame.drop(columns=[leave_out]) if name == "pandas" else frame.drop(leave_out)
    return table_of(frame, str(path), constant=constant), labels


def _place(name: str, names: list[str]) -> int:
    """Return the number of the column of that name."""
    if name not in names:
        known = ", ".join(shown(each, 40) for each in names[:10])
        raise ZooError(f"there is no column {shown(name, 60)!r}; the first are {known}")
    return names.index(name)


def _csv(path: Path, leave_out: str | None, names: Sequence[str] | None) -> tuple[Table, Any]:
    """Return the table of a file of separated values; its first line may name the columns."""
    try:
        with error_context(path), path.open(encoding="utf-8-sig", newline="") as file:
            lines = [file.readline(_LONGEST_LINE) for _ in range(2)]
            delimiter = "\t" if path.suffix == ".tsv" else max(",;\t", key=lines[0].count)
            first, second = (next(csv.reader([line], delimiter=delimiter), []) for line in lines)
            first = [cell.strip() for cell in first]
            named = not all(map(_is_number, first)) or _are_names(first, second, names)
            row = second if named else first
            if len(row) != len(first) or not row:
                raise ZooError(f"the first line has {len(first)} columns, the second {len(second)}")
            if leave_out is not None and not named:
                raise ZooError(
                    f"the first line names no column, and so none {shown(leave_out, 60)!r}"
                )
            label = None if leave_out is None else _place(leave_out, first)
            used = [i for i in range(len(first)) if i != label]
            file.seek(0)
            truths = [i for i in used if row[i].strip().lower() in _BOOLEANS]
            values = _numbers(file, delimiter, label, truths, first if named else None)
            file.seek(0)
            labels = None if label is None else _texts(file, delimiter, label)
    except (OSError, UnicodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise ZooError(f"{path}: cannot be read as a table: {reason}") from error
    kinds = [_kind(row[i], values[:, k]) for k, i in enumerate(used)]
    columns = tuple(Column(first[i], kind) for i, kind in zip(used, kinds, strict=True) if named)
    check_columns(columns, str(path))
    return Table(values, columns, np.array([kind != "float64" for kind in kinds])), labels


def _are_names(first: list[str], second: list[str], names: Sequence[str] | None) -> bool:
    """Return whether a line of numbers names the columns.

    Pandas calls columns without names 0, 1, ...; counts that begin so are taken for counts.
    """
    if names is not None:
        return bool(names) and first == [*names]
    counts = all(map(_WHOLE.fullmatch, second))
    return len(first) > 1 and first == [*map(str, range(len(first)))] and not counts


def _numbers(
    file: TextIO,
    delimiter: str,
    label: int | None,
    booleans: list[int],
    names: list[str] | None,
) -> Values:
    """Return all columns but that of the labels, (n, d), float64.

    Raises:
        ZooError: what is no number, or rows of several lengths.
    """
    converters: dict[int | str, Any] = dict.fromkeys(booleans, _number)
    if label is not None:  # not left out by `usecols`, which lets rows be of any length
        converters[label] = lambda _: 0.0
    try:
        values = np.loadtxt(
            file,
            delimiter=delimiter,
            quotechar='"',
            comments=None,
            skiprows=int(names is not None),
            ndmin=2,
            encoding=None,  # NumPy 1 gives converters bytes otherwise
            converters=converters or None,
        )
        return values if label is None else np.delete(values, label, axis=1)
    except ValueError as error:
        text = one_line(error)
    if ragged := re.search(r"changed from (\d+) to (\d+) at row (\d+)", text):
        raise ZooError(
            f"row {int(ragged[3]) - 1} has another number of cells, {ragged[2]}, than those "
            f"before it, {ragged[1]}; write out all of them, and quote those with a {delimiter!r}"
        )
    found = re.search(r"string '(.*)' to float64 at row (\d+), column (\d+)", text)
    if found is None:
        raise ZooError(f"cannot be read as a table: {text[:200]}")
    place = int(found[3]) - 1
    called = repr(shown(names[place], 60)) if names else str(place)
    what = repr(shown(found[1], 60)) if found[1].strip() else "nothing"
    raise ZooError(
        f"column {called} holds {what} in row {found[2]}, which is no number; fill it in, leave "
        "the column out, or make it the labels"
    )


def _number(text: str) -> float:
    """Return a number, also of True and False as pandas, polars and others write them."""
    known = _BOOLEANS.get(text.strip().lower())
    return float(text) if known is None else known


def _is_number(text: str) -> bool:
    try:
        _number(text)
    except ValueError:
        return False
    return True


def _kind(text: str, values: Any) -> str:
    """Return the type of a column whose first cell is `text`: whole numbers are written as such."""
    if text.strip().lower() in _BOOLEANS and bool(np.isin(values, (0, 1)).all()):
        return "bool"
    whole = _WHOLE.fullmatch(text) is not None and bool((values == np.rint(values)).all())
    return "int64" if whole else "float64"


def _texts(file: Any, delimiter: str, column: int) -> Any:
    """Return a column below the first line: whole numbers, or text.

    Raises:
        ZooError: a whole number of more digits than an int64 has.
    """
    rows = csv.reader(file, delimiter=delimiter)
    next(rows)
    found = [row[column] for row in rows if row]
    if not all(_WHOLE.fullmatch(text) for text in found):
        return np.array(found)
    if too_long := next(
        (text for text in found if len(text.strip().lstrip("+-0")) > _DIGITS), None
    ):
        raise ZooError(
            f"the labels hold {shown(too_long, 40)}, a whole number of more than {_DIGITS} "
            "digits; number the classes from 0"
        )
    return np.array([int(text) for text in found])

"""Samples as the columns of the table that a model was fitted on."""

from __future__ import annotations

import csv
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from zoo.config.columns import Column
from zoo.config.model import Data
from zoo.errors import ZooError, one_line
from zoo.files import replacing


def names_of(data: Data) -> list[str | int]:
    """Return the names of the columns; "x0", "x1", ... where there are none."""
    return [c.name for c in data.columns] or [f"x{i}" for i in range(data.dim)]


def arrays_of(samples: Tensor, data: Data) -> list[NDArray[Any]]:
    """Return the columns of samples (n, d) in their own types, whole numbers rounded.

    Raises:
        ZooError: samples that are not vectors.
    """
    if samples.ndim != 2:
        raise ZooError(f"samples of shape {data.shape} are no rows of a table")
    values = samples.double().numpy()
    columns = data.columns or (Column("", "float64"),) * data.dim
    return [_typed(values[:, i], column) for i, column in enumerate(columns)]


def _typed(values: NDArray[np.float64], column: Column) -> NDArray[Any]:
    if not column.whole:
        return values.astype(column.numpy_dtype)
    if column.numpy_dtype == "bool":
        return values >= 0.5
    ends = np.iinfo(column.numpy_dtype)
    whole = np.rint(values)
    inside = whole.clip(float(ends.min), float(ends.max)).astype(column.numpy_dtype)
    # The largest of 64 bits is no float64: the nearest above it would wrap around.
    return np.where(whole >= float(ends.max), ends.max, inside)


def frame_of(samples: Tensor, data: Data) -> Any:
    """Return samples (n, d) as a DataFrame of the library of the table, with its types.

    Raises:
        ZooError: samples that are not vectors; the library is not installed.
    """
    arrays, names = arrays_of(samples, data), names_of(data)
    try:
        library: Any = import_module(data.frame)
    except ImportError as error:
        raise ZooError(
            f"a data frame needs {data.frame}, which cannot be imported ({one_line(error)}): pip "
            f"install {data.frame}; or take sample(n), an array"
        ) from error
    table = dict(zip(names, arrays, strict=True))
    if data.frame == "polars":
        kinds = {c.name: getattr(library, c.dtype) for c in data.columns}
        return library.DataFrame(table).cast(kinds)
    frame = library.DataFrame(table)
    return frame.astype({c.name: c.dtype for c in data.columns}) if data.columns else frame


def write_parquet(path: Path, samples: Tensor, data: Data) -> None:
    """Write samples (n, d) as the data frame of `frame_of`, names as text.

    Raises:
        ZooError: as `frame_of`; pandas without pyarrow; a disk that refuses.
    """
    frame = frame_of(samples, data)
    names = [str(name) for name in frame.columns]
    if len({*names}) < len(names):
        raise ZooError(f"{path}: two columns have one name as text, which parquet does not take")
    frame.columns = names
    with replacing(path) as beside:
        try:
            (frame.write_parquet if data.frame == "polars" else frame.to_parquet)(beside)
        except ImportError as error:
            raise ZooError(
                f"{path}: writing parquet needs pyarrow, which cannot be imported "
                f"({one_line(error)[:200]}): pip install pyarrow; or write a .csv"
            ) from error


def write_csv(path: Path, samples: Tensor, data: Data) -> None:
    """Write samples (n, d) with a line of names before them; every digit of a number is kept.

    Raises:
        ZooError: samples that are not vectors, or a disk that refuses.
    """
    arrays = arrays_of(samples, data)
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names_of(data))
        writer.writerows(zip(*(array.tolist() for array in arrays), strict=True))

"""Conditions in a file, for the command line: FILE.npy, FILE.npz, or a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.config.condition import Condition
from zoo.data.table_file import SUFFIXES, read_table
from zoo.errors import ZooError, one_line
from zoo.files import refuse_pointer


def read_condition(path: Path, known: Condition | None) -> Tensor:
    """Return one condition (*shape) of a file, or one per sample (n, *shape), float64 or as it is.

    Columns of a table are found by name where the model knows names, else taken in order. One row
    is the condition of all samples. An .npz file has them as "condition" or its only array.

    Raises:
        ZooError: the model takes none; no such file, no such column, or what is no number.
    """
    if known is None:
        raise ZooError(f"{path}: the model takes no condition: it was trained without one")
    if not path.is_file():
        raise ZooError(f"{path}: there is no such file")
    if path.suffix in (".npy", ".npz"):
        array = _array(path)
    elif path.suffix in SUFFIXES:
        array = _rows(path, known)
    else:
        raise ZooError(f"{path}: expected a file ending in .npy, .npz, {', '.join(SUFFIXES)}")
    if array.dtype.kind not in "buif":
        raise ZooError(f"{path}: conditions of {array.dtype}; expected numbers")
    found = torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))
    one = len(known.shape)
    return found[0] if found.ndim == one + 1 and len(found) == 1 else found


def _array(path: Path) -> np.ndarray[Any, Any]:
    refuse_pointer(path)
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return found
            names = found.files
            if "condition" not in names and len(names) != 1:
                raise ZooError(f"{path}: call the array of conditions 'condition'")
            array: np.ndarray[Any, Any] = found["condition" if "condition" in names else names[0]]
            return array
    except ZooError:
        raise
    except Exception as error:  # a broken file raises nearly anything out of zip and numpy
        raise ZooError(f"{path}: cannot be read: {one_line(error)[:200]}") from error


def _rows(path: Path, known: Condition) -> np.ndarray[Any, Any]:
    wanted = [str(column.name) for column in known.columns]
    table, _ = read_table(path, constant=True, names=wanted)
    there = [str(column.name) for column in table.columns]
    if not there or not wanted:
        return table.values
    if missing := [name for name in wanted if name not in there]:
        raise ZooError(f"{path}: there is no column {missing[0]!r}, which the model is given")
    return table.values[:, [there.index(name) for name in wanted]]

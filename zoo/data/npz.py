"""Arrays from a NumPy archive: npz:PATH, images or vectors in "x", labels in "y".

The test split, if there is one, is in "x_test" and "y_test".
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.data.condition import of_array
from zoo.data.finite import as_rows, check_finite
from zoo.data.images import MAX_BYTE, Images, check_labels
from zoo.data.request import Request
from zoo.errors import ZooError, one_line, shown, there_are
from zoo.files import refuse_pointer

DATA_KEYS = ("x", "images", "arr_0")
LABEL_KEYS = ("y", "labels")
CHANNELS = (1, 3, 4)


Array = NDArray[np.generic]


class Arrays(NamedTuple):
    """Data, labels and conditions of an archive, as they are."""

    x: Array
    labels: Array | None
    condition: Array | None


def read_arrays(request: Request) -> Arrays:
    """Return the arrays of an archive; names and errors as for `load_npz`."""
    path = request.path
    if not path.is_file():
        raise request.missing("file")
    try:
        refuse_pointer(path)
        # Opened here, because numpy leaves a broken archive open.
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ZooError(f"{path}: not an .npz archive, or cut short")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return _choose(archive, path, request)
    except ZooError:
        raise
    except Exception as error:  # a broken archive raises nearly anything out of zip and numpy
        raise ZooError(f"{path}: cannot be read as .npz: {one_line(error)}") from error


def _choose(archive: np.lib.npyio.NpzFile, path: Path, request: Request) -> Arrays:
    end = "" if request.split == "train" else f"_{request.split}"
    key = next((k + end for k in DATA_KEYS if k + end in archive), None)
    label_key = next((k + end for k in LABEL_KEYS if k + end in archive), None)
    if key is None and end:
        request.only_train()
    if key is None:
        there = there_are([*map(repr, archive.files)])
        raise ZooError(f"{path}: no array called {', '.join(DATA_KEYS)}; {there}")
    condition = None
    if request.condition is not None:
        if f"{request.condition}{end}" not in archive:
            called = shown(f"{request.condition}{end}", 60)
            raise ZooError(
                f"{path}: no array {called!r} of conditions; "
                f"{there_are([*map(repr, archive.files)])}"
            )
        condition = archive[f"{request.condition}{end}"]
    return Arrays(archive[key], None if label_key is None else archive[label_key], condition)


def _channels_first(x: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return images (N, H, W), (N, H, W, C) or (N, C, H, W) as (N, C, H, W)."""
    if x.ndim == 3:
        return x[:, None]
    last = x.shape[3] in CHANNELS and x.shape[1] not in CHANNELS
    return x.transpose(0, 3, 1, 2) if last else x


def _pixels(x: NDArray[np.generic], where: str) -> Tensor:
    """Return images as uint8 for whole numbers 0 to 255, or as float32 in [-1, 1]."""
    low, high = x.min(), x.max()
    whole = np.issubdtype(x.dtype, np.integer)
    allowed = (0, MAX_BYTE) if whole else (-1, 1)
    if not (allowed[0] <= low and high <= allowed[1]):
        raise ZooError(
            f"{where}: images of {x.dtype} with values from {low:g} to {high:g}; expected whole "
            f"numbers in [0, {MAX_BYTE}] or real numbers in [-1, 1], such as x / 127.5 - 1 of bytes"
        )
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.uint8 if whole else np.float32))


def _data(x: NDArray[np.generic], where: str) -> Tensor:
    """Return the array as (N, d), or (N, C, H, W), uint8 or float32; checked."""
    if x.dtype.kind not in "uif" or x.ndim not in (2, 3, 4) or x.size == 0:
        raise ZooError(
            f"{where}: data of {x.dtype}, shape {x.shape}; expected numbers, as vectors (N, d) or "
            "images (N, H, W), (N, C, H, W) or (N, H, W, C)"
        )
    if x.ndim == 2 and x.dtype != np.float32:
        return as_rows(x.astype(np.float64), where)
    if x.dtype.kind == "f":
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
        check_finite(torch.from_numpy(x), where)
    return torch.from_numpy(x) if x.ndim == 2 else _pixels(_channels_first(x), where)


def from_arrays(
    x: NDArray[np.generic],
    labels: NDArray[np.generic] | None,
    *,
    name: str,
    where: str = "data",
    license: str = "not stated",
) -> Images:
    """Return samples x, (N, d), (N, H, W), (N, C, H, W) or (N, H, W, C), as a data set.

    Values are as `load_npz` says, labels whole numbers from 0, (N,). Errors begin with `where`.

    Raises:
        ZooError: an unusable shape or type, NaN or infinity, wrong labels.
    """
    data, classes = _data(x, where), 0
    if labels is not None:
        if labels.dtype.kind not in "ui":
            raise ZooError(f"{where}: labels of {labels.dtype}; expected whole numbers")
        classes = check_labels(labels, len(data), where)
    return Images(
        data,
        None if labels is None else torch.from_numpy(labels.astype(np.int64)),
        classes=classes,
        name=name,
        license=license,
        range=None if data.ndim == 2 else (-1.0, 1.0),
    )


def load_npz(request: Request) -> Images:
    """Return the arrays of an archive.

    Data is the array "x", "images" or "arr_0": vectors (N, d), kept as given in float32; or
    images, whole numbers from 0 to 255 or real numbers in [-1, 1], channels first or (where
    only the last dimension can be 1, 3 or 4 channels) last. Labels are "y" or "labels", (N,). The
    test split has the same names with "_test" behind them. Conditions are an array of any name,
    (N, k) or (N, C, H, W).

    Raises:
        ZooError: unreadable (pickled objects are never loaded), no such array, an unusable
            shape or type, NaN or infinity, wrong labels.
    """
    x, y, condition = read_arrays(request)
    path = request.path
    data = from_arrays(x, y, name=path.stem, where=str(path), license="not stated by the file")
    if condition is None:
        return data
    source = str(request.condition)
    given = of_array(condition, len(data), source=source, where=f"{path}: {shown(source, 60)}")
    return replace(data, given=given)

"""Data sets with a name of their own: digits, Fashion-MNIST and CIFAR-10.

digits: 1,797 handwritten digits, 8x8 grey with 17 levels, 10 classes, from scikit-learn. Source:
E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998, doi:10.24432/C50P49.

fashion-mnist: 60,000 training and 10,000 test images of garments, 28x28 grey, 10 classes.
Source: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747.

cifar10: 50,000 training and 10,000 test photographs, 32x32 colour, 10 classes; in the binary
version, records of 1 label byte and 3072 bytes of red, green, blue. Source: A. Krizhevsky,
"Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from zoo.data.hub import load_hub
from zoo.data.idx import FILES, find, read_split
from zoo.data.images import Images
from zoo.data.request import Request
from zoo.errors import ZooError, shown
from zoo.files import as_path, user_cache

VARIABLE = "ZOO_DATA"
DIGITS_LICENSE = "CC BY 4.0 (Alpaydin and Kaynak, UCI Machine Learning Repository)"
HOLD_OUT = 6
CIFAR_FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
# The folder inside the archive; the files may be in it, or directly in the folder cifar10.
ARCHIVE = "cifar-10-batches-bin"
CLASSES = 10
PIXELS = 3 * 32 * 32


def load_digits(request: Request) -> Images:
    """Return the digits, shape (1, 8, 8), uint8 levels 0 to 16.

    The source has no splits, so every sixth image is in the test split (299 images; 1,498 remain).
    The file is ordered by writer, so both splits have all writers.
    """
    from sklearn.datasets import load_digits as fetch

    bunch = fetch()
    x = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    y = torch.from_numpy(bunch.target).long()
    held_out = torch.arange(len(x)) % HOLD_OUT == HOLD_OUT - 1
    keep = held_out if request.split == "test" else ~held_out
    return Images(x[keep], y[keep], 10, "digits", DIGITS_LICENSE, top=16)


def _folders(name: str) -> list[Path]:
    """Return the folders in which the data set `name` may lie: in $ZOO_DATA, the user's cache."""
    chosen = os.environ.get(VARIABLE)
    found = [as_path(chosen, VARIABLE)] if chosen else []
    return [folder / name for folder in (*found, user_cache() / "data")]


def _load_named(
    request: Request,
    name: str,
    read: Callable[[Path, str], Images | None],
    files: str,
    hub: str,
    license: str,
) -> Images:
    """Return a split of the data set `name`: read from a folder, else from the Hub.

    `read` returns None where the files are not in the folder. An error says to put `files` there.
    `hub` is the argument of "hf:".

    Raises:
        ZooError: the files are broken, or neither they nor the Hub are at hand (says what to do).
    """
    folders = _folders(name)
    for folder in folders:
        if (found := read(folder, request.split)) is not None:
            return replace(found, name=name, license=license)
    try:
        found = load_hub(Request(f"hf:{hub}", hub, request.split, request.size))
    except ZooError as error:
        # An error has room for 500 characters: the folders may be deep.
        places = shown(" or ".join(map(str, folders)), 150)
        raise ZooError(
            f"{name}: not found in {places}; put {files} there, or set {VARIABLE} to the folder "
            f"that holds {name}/; or let it come from the Hub: {shown(error, 120)}"
        ) from error
    return replace(found, name=name, license=license)


def _read_fashion_mnist(folder: Path, split: str) -> Images | None:
    there = all(find(folder, file) for file in FILES[split])
    return read_split(folder, split, name="", license="") if there else None


def _records(path: Path) -> torch.Tensor:
    """Return the records in `path`, uint8, (N, 3073)."""
    try:
        raw = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise ZooError(f"{path}: cannot be read: {error.strerror}") from error
    if not len(raw) or len(raw) % (PIXELS + 1):
        raise ZooError(f"{path}: {len(raw)} bytes are not records of {PIXELS + 1}; fetch it again")
    records = torch.from_numpy(raw).reshape(-1, PIXELS + 1)
    if (highest := int(records[:, 0].max())) >= CLASSES:
        raise ZooError(f"{path}: holds the class {highest} of 0 to 9; not CIFAR-10")
    return records


def _read_cifar10(folder: Path, split: str) -> Images | None:
    for place in (folder, folder / ARCHIVE):
        files = [place / name for name in CIFAR_FILES[split]]
        if all(file.is_file() for file in files):
            records = torch.cat([_records(file) for file in files])
            images = records[:, 1:].reshape(-1, 3, 32, 32).clone()
            return Images(images, records[:, 0].long(), CLASSES, name="", license="")
    return None


_IDX = ", ".join(f"{name}.gz" for pair in FILES.values() for name in pair)
# Images (1, 28, 28).
load_fashion_mnist = partial(
    _load_named,
    name="fashion-mnist",
    read=_read_fashion_mnist,
    files=f"{_IDX} (with or without .gz)",
    hub="zalando-datasets/fashion_mnist?image=image&label=label",
    license="MIT (Zalando SE, Fashion-MNIST)",
)
# Images (3, 32, 32).
load_cifar10 = partial(
    _load_named,
    name="cifar10",
    read=_read_cifar10,
    files="data_batch_1.bin, test_batch.bin and the other .bin files of cifar-10-binary.tar.gz",
    hub="uoft-cs/cifar10?image=img&label=label",
    license="not stated by its authors (A. Krizhevsky, V. Nair, G. Hinton)",
)

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
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_dir

from zoo.data.hub import load_hub
from zoo.data.idx import FILES, find, read_split
from zoo.data.images import Images
from zoo.data.request import Request
from zoo.errors import ZooError

VARIABLE = "ZOO_DATA"
DIGITS_LICENCE = "CC BY 4.0 (Alpaydin and Kaynak, UCI Machine Learning Repository)"
HOLD_OUT = 6
FASHION_LICENCE = "MIT (Zalando SE, Fashion-MNIST)"
FASHION_HUB = "zalando-datasets/fashion_mnist?image=image&label=label"
CIFAR_LICENCE = "not stated by its authors (A. Krizhevsky, V. Nair, G. Hinton)"
CIFAR_HUB = "uoft-cs/cifar10?image=img&label=label"
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
    return Images(x[keep], y[keep], 10, "digits", DIGITS_LICENCE, top=16)


def _folders(name: str) -> list[Path]:
    """Return the folders in which the data set `name` may lie: in $ZOO_DATA, the user's cache."""
    chosen = os.environ.get(VARIABLE)
    found = [Path(chosen).expanduser()] if chosen else []
    return [folder / name for folder in (*found, Path(user_cache_dir("zoo")) / "data")]


def _load_named(
    request: Request,
    name: str,
    *,
    read: Callable[[Path, str], Images | None],
    files: str,
    hub: str,
    licence: str,
) -> Images:
    """Return a split of a data set, under its name and licence.

    Args:
        request: for the split.
        name: of the data set, and of the folder of its files.
        read: returns a split from the files in a folder, None if they are not there.
        files: what the user has to put there, for the error.
        hub: the argument of "hf:" where the Hub has it.
        licence: of the data, in words.

    Raises:
        ZooError: the files are broken, or neither they nor the Hub are at hand (says what to do).
    """
    folders = _folders(name)
    for folder in folders:
        if (found := read(folder, request.split)) is not None:
            return replace(found, name=name, licence=licence)
    try:
        found = load_hub(Request(f"hf:{hub}", hub, request.split, request.size))
    except ZooError as error:
        raise ZooError(
            f"{name}: not found in {' or '.join(map(str, folders))}; put {files} into "
            f"{folders[0]}, or set {VARIABLE} to the folder that holds {name}/; or let it come "
            f"from the Hub: {error}"
        ) from error
    return replace(found, name=name, licence=licence)


def _read_fashion_mnist(folder: Path, split: str) -> Images | None:
    if all(find(folder, file) for file in FILES[split]):
        return read_split(folder, split, name="fashion-mnist", licence=FASHION_LICENCE)
    return None


def load_fashion_mnist(request: Request) -> Images:
    """Return a split of Fashion-MNIST, (1, 28, 28), from its four idx files, else from the Hub.

    Raises:
        ZooError: neither is available (the error says what to do), or files cannot be read.
    """
    names = ", ".join(f"{name}.gz" for pair in FILES.values() for name in pair)
    files = f"{names} (with or without .gz)"
    return _load_named(
        request,
        "fashion-mnist",
        read=_read_fashion_mnist,
        files=files,
        hub=FASHION_HUB,
        licence=FASHION_LICENCE,
    )


def _records(path: Path) -> torch.Tensor:
    """Return the records in `path`, uint8, (N, 3073)."""
    try:
        raw = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise ZooError(f"{path}: cannot be read: {error.strerror}") from error
    if not len(raw) or len(raw) % (PIXELS + 1):
        raise ZooError(f"{path}: {len(raw)} bytes are not records of {PIXELS + 1}; fetch it again")
    records = torch.from_numpy(raw).reshape(-1, PIXELS + 1)
    if int(records[:, 0].max()) >= CLASSES:
        raise ZooError(
            f"{path}: holds the class {int(records[:, 0].max())} of 0 to 9; not CIFAR-10"
        )
    return records


def _read_cifar10(folder: Path, split: str) -> Images | None:
    for place in (folder, folder / ARCHIVE):
        files = [place / name for name in CIFAR_FILES[split]]
        if all(file.is_file() for file in files):
            records = torch.cat([_records(file) for file in files])
            images = records[:, 1:].reshape(-1, 3, 32, 32).clone()
            return Images(images, records[:, 0].long(), CLASSES, "cifar10", CIFAR_LICENCE)
    return None


def load_cifar10(request: Request) -> Images:
    """Return a split of CIFAR-10, (3, 32, 32), from its binary files, else from the Hub.

    Raises:
        ZooError: neither is available (the error says what to do), or files are broken.
    """
    files = f"{CIFAR_FILES[request.split][0]} and the other .bin files of cifar-10-binary.tar.gz"
    return _load_named(
        request, "cifar10", read=_read_cifar10, files=files, hub=CIFAR_HUB, licence=CIFAR_LICENCE
    )

"""CIFAR-10: 50,000 training and 10,000 test photographs, 32x32 colour, 10 classes.

From the files of the binary version: records of 1 label byte and 3072 bytes of red, green, blue.
Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from zoo.data.images import Images
from zoo.data.named import load_named
from zoo.data.request import Request
from zoo.errors import ZooError

NAME = "cifar10"
LICENCE = "not stated by its authors (A. Krizhevsky, V. Nair, G. Hinton)"
HUB = "uoft-cs/cifar10?image=img&label=label"
CLASSES = 10
PIXELS = 3 * 32 * 32
FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
# The folder inside the archive; the files may be in it, or directly in the folder cifar10.
ARCHIVE = "cifar-10-batches-bin"


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


def _read(folder: Path, split: str) -> Images | None:
    for place in (folder, folder / ARCHIVE):
        files = [place / name for name in FILES[split]]
        if all(file.is_file() for file in files):
            records = torch.cat([_records(file) for file in files])
            images = records[:, 1:].reshape(-1, 3, 32, 32).clone()
            return Images(images, records[:, 0].long(), CLASSES, NAME, LICENCE)
    return None


def load_cifar10(request: Request) -> Images:
    """Return a split of CIFAR-10, (3, 32, 32), from its binary files, else from the Hub.

    Raises:
        ZooError: neither is available (the error says what to do), or files are broken.
    """
    files = f"{FILES[request.split][0]} and the other .bin files of cifar-10-binary.tar.gz"
    return load_named(request, NAME, read=_read, files=files, hub=HUB, licence=LICENCE)

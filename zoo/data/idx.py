"""idx files, the format of MNIST: idx:FOLDER with four files, or idx:FILE.

Header: two zero bytes, a type (8 = unsigned byte), the number of dimensions, then each
dimension as a big-endian uint32; data in C order. Plain or gzip, recognised by content.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", section "File formats".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from zoo.data.images import Images, check_labels
from zoo.data.request import Request
from zoo.errors import ZooError
from zoo.files import refuse_pointer

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"
MAX_DIMENSIONS = 4
CHUNK = 1 << 24

# split -> (images, labels), the names under which MNIST and Fashion-MNIST are distributed.
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def _read_at_most(stream: BinaryIO, size: int) -> bytearray:
    """Read up to `size` bytes in pieces, so that a wrong size in a header costs no memory."""
    data = bytearray()
    while len(data) < size and (piece := stream.read(min(CHUNK, size - len(data)))):
        data += piece
    return data


def _parse(stream: BinaryIO, path: Path) -> Tensor:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or not 1 <= magic[3] <= MAX_DIMENSIONS:
        raise ZooError(f"{path}: not an idx file (it begins with {magic.hex(' ') or 'nothing'})")
    if magic[2] != UNSIGNED_BYTE:
        raise ZooError(f"{path}: idx type {magic[2]:#04x}; expected unsigned bytes, 0x08")
    header = stream.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise ZooError(f"{path}: the file ends within its idx header")
    shape = struct.unpack(f">{magic[3]}I", header)
    size = math.prod(shape)
    if size == 0:
        raise ZooError(f"{path}: the idx header says shape {shape}, which holds nothing")
    # One byte more than expected: it detects surplus bytes, and gzip verifies its checksum.
    data = _read_at_most(stream, size + 1)
    if len(data) != size:
        found = "more" if len(data) > size else f"{len(data)} bytes"
        raise ZooError(f"{path}: the idx header says {size} bytes, shape {shape}; found {found}")
    return torch.frombuffer(data, dtype=torch.uint8).reshape(shape)


def read_idx(path: Path) -> Tensor:
    """Return the array in the idx file `path` (plain or gzip), uint8, of 1 to 4 dimensions.

    Raises:
        ZooError: absent, not idx, not unsigned bytes, truncated, too long, or broken gzip.
    """
    try:
        refuse_pointer(path)
        with path.open("rb") as raw:
            zipped = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            if not zipped:
                return _parse(raw, path)
            with gzip.GzipFile(fileobj=raw) as stream:
                return _parse(stream, path)  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ZooError(f"{path}: cannot be read: {reason}") from error


def find(folder: Path, name: str) -> Path | None:
    """Return the file `name` or `name`.gz in `folder`, or None."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def read_pair(images: Path, labels: Path | None, *, name: str, license: str) -> Images:
    """Return the images (N, H, W) or (N, C, H, W) of one idx file with the labels of another.

    Raises:
        ZooError: a file cannot be read or has another shape, or the counts differ.
    """
    x = read_idx(images)
    if x.ndim not in (3, 4):
        raise ZooError(f"{images}: shape {tuple(x.shape)}; expected (N, H, W) or (N, C, H, W)")
    y = None if labels is None else read_idx(labels).long()
    classes = 0 if y is None else check_labels(y, len(x), str(labels))
    return Images(x.unsqueeze(1) if x.ndim == 3 else x, y, classes, name, license)


def read_split(folder: Path, split: str, *, name: str, license: str) -> Images:
    """Return a split of the four files of FILES in `folder`; errors as in `read_pair`."""
    image_name, label_name = FILES[split]
    images = find(folder, image_name)
    if images is None:
        raise ZooError(f"{folder}: no {image_name} or {image_name}.gz in this folder")
    return read_pair(images, find(folder, label_name), name=name, license=license)


def load_idx(request: Request) -> Images:
    """Return idx:FOLDER (file names as in MNIST) or idx:FILE (its images are the train split).

    The labels of a FILE called *images-idx3* are read from *labels-idx1* in the same folder, if it
    exists; both names may end in .gz.

    Raises:
        ZooError: as in `read_pair`, or no such path, or FILE and a split other than "train".
    """
    path = request.path
    license = "not stated by the files"
    if path.is_dir():
        return read_split(path, request.split, name=path.resolve().name, license=license)
    if not path.exists():
        raise request.missing("file or folder")
    request.only_train()
    name = path.name.removesuffix(".gz")
    sibling = name.replace("images-idx3", "labels-idx1")
    labels = find(path.parent, sibling) if sibling != name else None
    return read_pair(path, labels, name=path.name.split(".")[0], license=license)

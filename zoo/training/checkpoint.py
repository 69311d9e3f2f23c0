"""Checkpoints: one file, written beside and renamed, read without executing anything.

The file is torch's zip archive; the sha256 of all before it is the comment at the archive's end.
It is read by `zoo.formats`, which takes no more memory and time than its size allows.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch

from zoo.errors import ZooError, one_line
from zoo.files import replacing
from zoo.formats import read_pickle

FORMAT = 4
_KEYS = {"recipe", "data", "step"}
_MARK = b"sha256 "
_CHUNK = 1 << 20
_COMMENT = len(_MARK) + 64
DAMAGED = "train into another folder, or move it away and begin anew"


def write_atomic(path: Path, state: dict[str, Any]) -> None:
    """Save `state` so that `path` always holds one whole checkpoint, whenever the power goes.

    Raises:
        ZooError: the disk is full or not writable; an earlier checkpoint stays intact.
    """
    try:
        with replacing(path) as beside, beside.open("x+b") as file:
            torch.save(state, file)
            _sign(file)
            file.flush()
            os.fsync(file.fileno())
    except (ZooError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, ZooError) else error
        reason = getattr(cause, "strerror", None) or one_line(error)
        kept = "; the checkpoint before it is intact" if path.exists() else ""
        raise ZooError(f"cannot write checkpoint {path}: {reason}{kept}") from error


def remove_leftovers(path: Path) -> None:
    """Remove what processes left that were killed while they wrote the checkpoint `path`."""
    for left in path.parent.glob(f".{path.name}.*.part"):
        with suppress(OSError):
            left.unlink()


def _sign(file: BinaryIO) -> None:
    """Make the digest of a zip archive without a comment its comment."""
    file.seek(-2, os.SEEK_END)  # the length of the comment
    file.write(_COMMENT.to_bytes(2, "little"))
    file.seek(0)
    digest = _digest(file)
    file.seek(0, os.SEEK_END)
    file.write(_MARK + digest)


def _is_signed(file: BinaryIO) -> bool:
    """Return whether the comment is the digest of all before it; leave the file at its start."""
    size = max(0, file.seek(0, os.SEEK_END) - _COMMENT)
    file.seek(size)
    comment = file.read(_COMMENT)
    file.seek(0)
    if not comment.startswith(_MARK):
        return False
    digest = _digest(file, size)
    file.seek(0)
    return comment == _MARK + digest


def _digest(file: BinaryIO, size: int = sys.maxsize) -> bytes:
    """Return the sha256 of the next bytes of a file, at most `size` of them, in hexadecimal."""
    digest = hashlib.sha256()
    while size and (piece := file.read(min(size, _CHUNK))):
        digest.update(piece)
        size -= len(piece)
    return digest.hexdigest().encode()


def read(path: Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU, its digest compared.

    Raises:
        ZooError: there is none, it cannot be read, or it is not as it was written.
    """
    if path.exists() and not path.is_file():
        raise ZooError(f"{path} is no regular file; {DAMAGED}")
    if not path.is_file():
        raise ZooError(f"nothing to resume: there is no {path}")
    try:
        with path.open("rb") as file:
            signed = _is_signed(file)
            state: Any = read_pickle(file, path)
    except Exception as error:
        raise ZooError(
            f"{path} is not a readable checkpoint: cut short, damaged, or of another program; "
            f"{DAMAGED}"
        ) from error
    found = state.get("format") if isinstance(state, dict) else None
    if type(found) is int and 1 <= found < FORMAT:
        raise ZooError(
            f"{path} is not a checkpoint that this version of zoo train reads: it has format "
            f"{found}, expected {FORMAT}; finish it with the version that began it"
        )
    ours = type(found) is int and found == FORMAT
    if not isinstance(state, dict) or not ours or not state.keys() >= _KEYS:
        raise ZooError(f"{path} is not a checkpoint of this version of zoo train")
    if not signed:
        raise ZooError(f"{path} is damaged: its sha256 is not the one written with it; {DAMAGED}")
    return state

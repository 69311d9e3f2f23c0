"""Pickles and files of torch.save read as data: one line says what is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from zoo.errors import ZooError, one_line
from zoo.formats.machine import Refused, TooMuch
from zoo.formats.tensors import check_whole, read_weights
from zoo.formats.torch_file import read

_SAFE = ".safetensors"


def read_data(path: Path, described: str = "") -> Any:
    """Return what a pickle or a file of torch.save or safetensors holds; see `read_pickle`.

    Raises:
        ZooError: it asks for more than tensors, containers and inert records, or is none of these.
    """
    check_whole(path)
    if path.suffix == _SAFE:
        return read_weights([path])
    with path.open("rb") as file:
        return _read(file, path, described)


def read_torch(path: Path) -> Any:
    """Return what torch.save wrote, on the CPU.

    Raises:
        ZooError: it is no such file, or holds more than tensors and plain containers.
    """
    with path.open("rb") as file:
        return _read(file, path, None)


def read_pickle(file: IO[bytes], where: Path | str, described: str | None = "") -> Any:
    """Return what a pickle holds: containers, tensors, numbers, text, and `Inert` records.

    Nothing in it is run, and no more memory is taken than its size allows.

    Args:
        file: the pickle, at its start.
        where: how errors name it.
        described: a regular expression of further modules whose objects become records; None for
            no records at all.

    Raises:
        ZooError: it names anything else, asks for more memory or time than it has data for, or is
            no pickle.
    """
    return _read(file, where, described)


def _read(file: IO[bytes], where: Path | str, described: str | None) -> Any:
    with _told(where):
        start = file.tell()
        size = file.seek(0, os.SEEK_END) - start
        file.seek(start)
        return read(file, size, described)


@contextmanager
def _told(where: Path | str) -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise ZooError(
            f"{where} is not a file of tensors only: it asks for {error}; nothing of it was run"
        ) from error
    except TooMuch as error:
        raise ZooError(f"{where} asks for {error}; nothing of it was run") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        reason = kind + one_line(error)[:200]
        raise ZooError(
            f"{where} is neither a pickle nor a file of torch that can be read: {reason}"
        ) from error

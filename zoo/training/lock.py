"""One process at a time trains in a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo.errors import ZooError

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder; it ends with the process, however that ends.

    A file system without locks gives none.

    Raises:
        ZooError: another process holds it, or the folder cannot be written into.
    """
    path = folder / LOCK
    try:
        file = _open(path)
        while not _is_at(path, file):  # whoever held the lock has removed the file meanwhile
            os.close(file)
            file = _open(path)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # on Windows an open file stays
            path.unlink()
        os.close(file)


def _open(path: Path) -> int:
    """Open the file with its lock held.

    Raises:
        OSError: it cannot be written.
        ZooError: another process holds the lock.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    if _acquire(file):
        return file
    os.close(file)
    raise ZooError(
        f"another process trains in {path.parent}; wait for it, end it, or train into another "
        "folder"
    )


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _acquire(file: int) -> bool:
    """Take the lock of an open file; return False where another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True

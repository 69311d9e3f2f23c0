"""One process at a time trains in a folder."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from zoo.errors import ZooError

LOCK = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder; it ends with the process, however that ends.

    A file system without locks gives none.

    Raises:
        ZooError: another process holds it, or the folder cannot be written into.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ZooError(
            f"another process trains in {folder}; wait for it, end it, or train into another folder"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise ZooError(f"cannot write {folder / LOCK}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()

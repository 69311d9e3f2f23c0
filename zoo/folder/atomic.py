"""Model folders that appear whole, whoever else writes there and wherever it stops."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from pathlib import Path

from zoo.errors import ZooError
from zoo.files import real_path
from zoo.folder.read import CONFIG

_DAY = 86_400


def check_new(path: Path) -> None:
    """Check, before hours of work for it, that a model can be written to the folder `path`.

    Raises:
        ZooError: it is a file, a link in a circle, or a folder with other files and no model; it
            may not be made there.
    """
    path = path.expanduser()
    try:
        real = real_path(path)
        if real.is_symlink():
            raise ZooError(f"{path} is a link in a circle; name a folder")
        if real.exists() and not real.is_dir():
            raise ZooError(f"{path} is a file; name a folder")
        above = next(parent for parent in real.parents if parent.exists())
    except OSError as error:  # a name that is too long, for one
        raise ZooError(f"{path} cannot be a folder: {error.strerror}") from error
    if not above.is_dir() or not os.access(real if real.exists() else above, os.W_OK):
        raise ZooError(f"{path} cannot be written: {above} is no folder that may be written")
    there = [*path.iterdir()] if path.is_dir() else []
    if not all(_is_part(file, of=path) for file in there) and not (path / CONFIG).is_file():
        raise ZooError(f"{path} holds other files and no model; name an empty folder")


def check_free(path: Path) -> None:
    """Check `check_new`, and that there is no model yet, which a trained one would replace.

    Raises:
        ZooError: as there, or `path` holds a model.
    """
    check_new(path)
    if (path.expanduser() / CONFIG).is_file():
        raise ZooError(f"{path} holds a model, which stays; name another folder")


class NewFolder:
    """Atomic writing of a folder: `with NewFolder(path) as temporary:`, write into `temporary`.

    A new folder appears whole. In an existing one, files of the same name are replaced once all are
    written, and other files stay. After an exception inside the block nothing has changed. If
    several processes write one folder, the last one wins.

    Raises:
        ZooError: `path` is a file, or a folder with other files and no model.
    """

    def __init__(self, path: Path) -> None:
        self.path = real_path(path.expanduser())
        self.near = self.path if self.path.is_dir() else self.path.parent
        self.temporary = self.near / f".{self.path.name}.{uuid.uuid4().hex}.part"

    def __enter__(self) -> Path:
        check_new(self.path)
        self.temporary.mkdir(parents=True)
        for part in self.near.iterdir():
            if _is_part(part, of=self.path) and _is_old(part):  # left by a process that was killed
                shutil.rmtree(part, ignore_errors=True)
        return self.temporary

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None and not self._renamed():
                # config.json last: until then what is read is refused, not wrong.
                for file in sorted(self.temporary.iterdir(), key=lambda f: f.name == CONFIG):
                    file.replace(self.path / file.name)
        finally:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def _renamed(self) -> bool:
        """Return whether the folder was not there, and now is as a whole."""
        if self.path.is_dir():
            return False
        try:
            self.temporary.rename(self.path)
        except OSError:
            if not self.path.is_dir():
                raise
            return False  # another process was quicker
        return True


def _is_part(file: Path, of: Path) -> bool:
    return file.name.startswith(f".{of.name}.") and file.suffix == ".part"


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _DAY
    except OSError:  # gone meanwhile
        return False

"""Files on disk: where they may go, and written whole or not at all."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from zoo.errors import ZooError

_POINTER = b"version https://git-lfs.github.com/spec/"


def as_path(text: str | Path, asked: str) -> Path:
    """Return `text` as a path that can be looked at, "~" resolved; `asked` is for errors.

    Raises:
        ZooError: it begins with ~ and a name that no user has, is too long for a path, or holds a
            null byte.
    """
    try:
        path = Path(text).expanduser()
        if "\0" in str(path):  # `exists` takes it for a path that is not there
            raise ValueError("it holds a null byte")
        path.exists()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise ZooError(f"{asked}: {reason}; expected a path") from error
    return path


_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def is_path(ref: str) -> bool:
    r"""Return whether a reference is a path as it stands: "./x", "/x", "~/x", "C:\x", "x\y"."""
    starts = ("./", "../", "/", "~")
    return ref in (".", "..") or ref.startswith(starts) or "\\" in ref or bool(_DRIVE.match(ref))


def has_home() -> bool:
    """Return whether the user has a home folder: $HOME, or an entry in the list of users."""
    try:
        return Path.home().is_absolute()
    except RuntimeError:
        return False


def user_cache() -> Path:
    """Return the zoo's part of the user's cache folder.

    A user without a home folder has one in the temporary folder, which nobody else can enter.

    Raises:
        ZooError: it is somebody else's.
    """
    from platformdirs import user_cache_dir

    if has_home():
        return Path(user_cache_dir("zoo"))
    path = Path(tempfile.gettempdir()) / f"zoo-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ZooError(f"there is no home folder, and {path}: {error.strerror}") from error
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077 or path.is_symlink():
        raise ZooError(f"there is no home folder, and {path} is somebody else's; set ZOO_CACHE")
    return path


def check_place(path: Path) -> None:
    """Check, before hours of work for it, that a file can be written at `path`.

    Raises:
        ZooError: it is a folder, or its folder is not there or cannot be written into.
    """
    if path.is_dir():
        raise ZooError(f"{path} is a folder; name a file in it")
    refuse_special(path)
    if not path.parent.is_dir():
        raise ZooError(f"{path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise ZooError(f"{path}: the folder {path.parent} cannot be written into")


def refuse_special(path: Path) -> None:
    """Raise ZooError for a device or a pipe where a file is to be read or written."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ZooError(f"{path} is no regular file; move it away, or name another")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; at the end it replaces `path`.

    After an exception inside the block `path` is unchanged and the temporary file is removed.

    Raises:
        ZooError: the disk is full or not writable; something other than a file is there.
    """
    refuse_special(path)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def is_folder(path: Path) -> bool:
    """Return whether `path` is a folder; False if it is no valid path."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long for the file system, say
        return False


def is_file(path: Path) -> bool:
    """Return whether `path` is a file; False if it is no valid path."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the error of a disk that refuses to have `path` read into a ZooError."""
    try:
        yield
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror or error}") from error


def refuse_pointer(path: Path) -> None:
    """Raise ZooError for the line of text that git without LFS leaves in place of a large file."""
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ZooError(
                f"{path} is a git LFS pointer, not the file itself; `git lfs pull` fetches that"
            )


def refuse_link(path: Path, folder: Path) -> None:
    """Raise ZooError for a link out of a folder, other than the Hub cache's into its blobs."""
    root, end = real_path(folder), real_path(path)
    if end.is_relative_to(root):
        return
    cache = root.parent.parent  # of one repository, beside the blobs that repositories share
    if root.parent.name == "snapshots" and path.is_symlink() and end.is_relative_to(cache.parent):
        first = Path(os.path.normpath(real_path(path.parent) / path.readlink()))
        if first.parent == cache / "blobs":
            return
    raise ZooError(f"{path} is a link out of its folder, to {end}; put the file itself there")


def real_path(path: Path) -> Path:
    """Return the path with every link followed; a circle of links is left as it is."""
    return Path(os.path.realpath(path))

"""What a commit holds, as the Hub lists it or as the cache on this disk has it.

Everything that a server says comes in here: what it says of a file is a size and a digest, or it
is nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.hf_api import RepoFile, RepoSibling

from zoo.config.model import WeightFile
from zoo.files import reading
from zoo.folder.read import DamagedFile, check_file, describe

_SHA1 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 2**50
_HUB = "the Hub"
# Relative, of plain characters, and never a step up; "unet/config.json".
_NAME = re.compile(r"(?!.*(^|/)\.{1,2}(/|$))(?!/)[^\\:\x00-\x1f\x7f]{1,1000}(?<!/)")


@dataclass(frozen=True)
class Entry:
    """A file of a commit.

    Attributes:
        size: in bytes.
        digest: sha256 of what git LFS or Xet keeps, else git's sha1 of the blob: the file's name
            among the blobs of the cache.
    """

    size: int
    digest: str

    @property
    def sha256(self) -> str | None:
        """The sha256 of the content, None where only git's sha1 is known."""
        return self.digest if _SHA256.fullmatch(self.digest) else None

    def check(self, path: Path) -> None:
        """Compare a file with size and digest; a sha256 is computed once for a file in one state.

        Raises:
            ZooError: it cannot be read.
            DamagedFile: it is another.
        """
        if self.sha256:
            check_file(path, WeightFile(self.size, self.sha256), _HUB)
            return
        with reading(path):
            found = self.measured(path)
        if found != self:
            raise DamagedFile(path, self.difference(found))

    def measured(self, path: Path) -> Entry:
        """Return size and digest, of the kind of this one, of a file."""
        if self.sha256:
            found = describe(path)
            return Entry(found.size, found.sha256)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            while chunk := file.read(2**20):
                digest.update(chunk)
        return Entry(size, digest.hexdigest())

    def difference(self, found: Entry) -> str:
        """Return what sets a file apart from the one that is listed."""
        if found.size != self.size:
            return f"{found.size} bytes, {_HUB} says {self.size}"
        kind = "sha256" if self.sha256 else "git's sha1"
        said = f"{kind} {found.digest[:12]}..., {_HUB} says {self.digest[:12]}..."
        return f"{said}: it was changed or damaged"


def listed(files: list[RepoSibling] | list[RepoFile]) -> dict[str, Entry | None]:
    """Return the entries of an answer of the Hub by name, None for one without size and digest.

    A name that no file of a folder can have is left out.
    """
    found: dict[str, Entry | None] = {}
    for file in files:
        name = file.path if isinstance(file, RepoFile) else file.rfilename
        if isinstance(name, str) and _NAME.fullmatch(name):
            found[name] = _entry(file)
    return found


def _entry(file: RepoSibling | RepoFile) -> Entry | None:
    lfs = file.lfs
    size, digest = (file.size, file.blob_id) if lfs is None else (lfs.size, lfs.sha256)
    kind = _SHA1 if lfs is None else _SHA256
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST:
        return None
    if size != file.size or not isinstance(digest, str) or not kind.fullmatch(digest):
        return None
    return Entry(size, digest)


def on_disk(folder: Path) -> dict[str, Entry | None]:
    """Return the files in the cache's folder of a commit, which are links to blobs by digest.

    None for a file that is no such link: what it should hold is not known.
    """
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): recorded(path) for path in paths}


def recorded(path: Path) -> Entry | None:
    """Return what the cache has recorded of a file in it: size, and the digest in its blob's name.

    A size that was not as listed shows in the digest.
    """
    if not path.is_symlink():
        return None
    target = path.readlink()
    digest = target.name
    if target.parent.name != "blobs" or not (_SHA1.fullmatch(digest) or _SHA256.fullmatch(digest)):
        return None
    return Entry(path.stat().st_size, digest)

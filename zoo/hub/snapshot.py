"""One commit of one repository: its listing, asked for at most once, and its files in the cache.

A file lies in the Hub's own cache as the client puts it there: its content under blobs/, named by
its digest, and in the folder of the commit a link to it.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from functools import cached_property
from pathlib import Path, PurePosixPath
from uuid import uuid4

from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_api import RepoFile

from zoo.config.model import WeightFile
from zoo.errors import ZooError, shown
from zoo.folder.read import CONFIG, DamagedFile, check_file
from zoo.hub import Access
from zoo.hub.client import connect
from zoo.hub.download import download
from zoo.hub.errors import is_cut_off
from zoo.hub.listing import Entry, listed, on_disk, recorded

# Files that could bring code to run; never fetched for a model of the zoo.
_CODE = {".py", ".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".so", ".dll", ".sh"}
# What git allows in a name, and never a step out of the folder that caches it.
_REVISION = re.compile(r"(?!.*\.\.)\w[\w./+-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_log = logging.getLogger(__name__)


class Snapshot:
    """A repository at one commit, in the Hub's own cache on this disk.

    Attributes:
        name: "owner/name@revision", for errors.
        commit: the 40 digits that the revision stood for when it was resolved.
        folder: of the commit, in the cache.
        cut_off: why the Hub was not asked for the listing, which is of what is on this disk then.

    Raises:
        ZooError: no revision can have this name, or it stands for no commit.
        Exception: as huggingface_hub's client raises it; see `hub_errors`.
    """

    def __init__(self, repo: str, revision: str | None, access: Access) -> None:
        self.repo, self.access = repo, access
        self.name = f"{repo}@{revision}" if revision else repo
        if revision is not None and not _REVISION.fullmatch(revision):
            raise ZooError(f"{revision!r} is not a branch, tag or commit of {repo}")
        self._api = connect(access.token)
        self.commit = self._api.resolve_revision(
            repo,
            revision=revision,
            cache_dir=access.cache_dir,
            local_files_only=access.local_files_only,
        ).resolved
        if not _COMMIT.fullmatch(self.commit):
            raise ZooError(f"{self.name}: {self.commit[:50]!r} is not a commit; try again online")
        cache = Path(access.cache_dir or constants.HF_HUB_CACHE).expanduser().resolve()
        self._cache = cache
        self._root = cache / repo_folder_name(repo_id=repo, repo_type="model")
        self.folder = self._root / "snapshots" / self.commit
        self.cut_off: Exception | None = None

    @cached_property
    def listing(self) -> dict[str, Entry | None]:
        """The files that the Hub says the commit has; one request, two of a mirror.

        None for a file of which it does not say what it holds. Where the Hub cannot be asked, the
        files on this disk.
        """
        try:
            return self._asked()
        except Exception as error:
            there = on_disk(self.folder)
            if not there or not is_cut_off(error):
                raise
            self.cut_off = error
            return there

    def _asked(self) -> dict[str, Entry | None]:
        if self.access.local_files_only:
            raise LocalEntryNotFoundError(f"{self.name} is not complete on this disk")
        info = self._api.model_info(self.repo, revision=self.commit, files_metadata=True)
        found = listed(info.siblings or [])
        # Some mirrors list names alone. No format has its files deeper than in a folder.
        unsized = [n for n, entry in found.items() if entry is None and n.count("/") < 2]
        if unsized:
            paths = self._api.get_paths_info(self.repo, unsized, revision=self.commit)
            found |= listed([path for path in paths if isinstance(path, RepoFile)])
        return found

    def warn_about_code(self) -> None:
        """Log which files of the listing, if it was asked for, are left alone since code is."""
        files = vars(self).get("listing", ())
        if left := sorted(f for f in files if PurePosixPath(f).suffix.lower() in _CODE):
            _log.warning(
                "zoo: %s: not fetched: %s; only config.json, README.md and safetensors ever are",
                self.name,
                ", ".join(left[:5]) + (", ..." if len(left) > 5 else ""),
            )

    def cached(self, file: str) -> Path | None:
        """Return where a file is on this disk, as the cache has recorded it.

        One that was changed since, or arrived otherwise than it was listed, is dropped.

        Raises:
            DamagedFile: it differs, and nobody may be asked for another.
        """
        path = self.folder / file
        if not path.is_file():
            return None
        try:
            if entry := recorded(path):
                entry.check(path)
        except DamagedFile as error:
            if self.access.local_files_only:
                raise
            _log.warning("zoo: %s: %s: %s; it is dropped", self.name, file, error.reason)
            self.forget(file)
            return None
        return path

    def fetch(self, file: str, *, limit: int) -> Path:
        """Return the path of a file as the Hub lists it, downloaded if it is not there.

        Raises:
            ZooError: the commit has no such file, it is larger than `limit` bytes, the Hub does not
                say what it holds, or sends another.
        """
        if there := self.cached(file):
            return there
        entry = self.entry(file)
        if entry.size > limit:
            raise ZooError(
                f"{self.name}: {file} has {entry.size} bytes; at most {limit} are fetched"
            )
        blob = self._root / "blobs" / entry.digest
        if not self._holds(blob, entry):
            self._cache.mkdir(parents=True, exist_ok=True)
            where = f"{self.name}: {file}"
            token = self.access.token
            download(self.repo, self.commit, file, entry, blob, token=token, where=where)
        return self._linked(file, blob)

    def entry(self, file: str) -> Entry:
        """Return what the Hub lists of a file; raises as `fetch` does."""
        if file not in self.listing:
            if self.cut_off is not None:
                raise self.cut_off
            raise ZooError(f"{self.name} has no {file}")
        entry = self.listing[file]
        if entry is None:
            raise ZooError(
                f"{self.name}: the Hub lists {shown(file)} without a size and a digest that can "
                "be; nothing was fetched"
            )
        return entry

    def _holds(self, blob: Path, entry: Entry) -> bool:
        """Return whether a blob is there, as it is listed; another is dropped."""
        try:
            if blob.is_file():
                entry.check(blob)
                return True
        except DamagedFile:
            pass
        self._drop(blob)
        return False

    def _linked(self, file: str, blob: Path) -> Path:
        """Return the path of a file in the commit's folder, made a link to its blob, or a copy."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        passing = path.with_name(f".{path.name}.{uuid4().hex[:8]}.incomplete")
        try:
            try:
                passing.symlink_to(os.path.relpath(blob, path.parent))
            except OSError:  # a system without links
                shutil.copyfile(blob, passing)
            passing.replace(path)
        finally:
            passing.unlink(missing_ok=True)
        return path

    def fetch_checked(self, file: str, expected: WeightFile, *, limit: int) -> Path:
        """Return the path of a file that is as config.json says; another one is not kept.

        Raises:
            ZooError: as for `fetch`, or size or sha256 differ.
        """
        path = self.fetch(file, limit=limit)
        try:
            check_file(path, expected, CONFIG)
        except DamagedFile as error:
            self.forget(file)
            raise ZooError(f"{self.name}: {file}: {error.reason}; it was not kept") from error
        return path

    def forget(self, file: str) -> None:
        """Drop a file from this disk: the snapshot's link and all that it leads to.

        That is a blob of the repository or, for what came through Xet, a link from there to a blob
        that repositories share, which would be taken again instead of a download.
        """
        self._drop(self.folder / file)

    def _drop(self, path: Path) -> None:
        """Remove a file or a link, and all in the cache that it leads to."""
        while os.path.lexists(path) and path.is_relative_to(self._cache):
            link = path.readlink() if path.is_symlink() else None
            path.unlink(missing_ok=True)
            if link is None:
                return
            path = Path(os.path.normpath(path.parent / link))

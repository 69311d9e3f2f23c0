"""One commit of one repository: its listing, asked for at most once, and its files in the cache."""

from __future__ import annotations

import logging
import re
from functools import cached_property
from pathlib import Path, PurePosixPath

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.hf_api import RepoFile, RepoSibling

from zoo.config.model import WeightFile
from zoo.errors import ZooError
from zoo.folder.read import CONFIG, DamagedFile, check_file
from zoo.hub import Access
from zoo.hub.client import connect

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

    @cached_property
    def listing(self) -> dict[str, RepoSibling]:
        """The files that the Hub says the commit has, with sizes; one request, two of a mirror."""
        if self.access.local_files_only:
            raise LocalEntryNotFoundError(f"{self.name} is not complete on this disk")
        info = self._api.model_info(self.repo, revision=self.commit, files_metadata=True)
        files = {file.rfilename: file for file in info.siblings or ()}
        # Some mirrors list names alone. No format has its files deeper than in a folder.
        unsized = [n for n, file in files.items() if file.size is None and n.count("/") < 2]
        if unsized:
            for entry in self._api.get_paths_info(self.repo, unsized, revision=self.commit):
                if isinstance(entry, RepoFile):
                    sized = RepoSibling(entry.path, entry.size, entry.blob_id, entry.lfs)
                    files[entry.path] = sized
        return files

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
        """Return where a file already is on this disk."""
        found = try_to_load_from_cache(
            self.repo, file, cache_dir=self.access.cache_dir, revision=self.commit
        )
        return Path(found) if isinstance(found, str) else None

    def fetch(self, file: str, *, limit: int) -> Path:
        """Return the path of a file, downloaded if it is not there.

        Raises:
            ZooError: the commit has no such file, or it is larger than `limit` bytes.
        """
        if there := self.cached(file):
            return there
        entry = self.listing.get(file)
        if entry is None:
            raise ZooError(f"{self.name} has no {file}")
        if entry.size is None or entry.size > limit:
            raise ZooError(
                f"{self.name}: {file} has {entry.size} bytes; at most {limit} are fetched"
            )
        return Path(
            self._api.hf_hub_download(
                self.repo, file, revision=self.commit, cache_dir=self.access.cache_dir
            )
        )

    def fetch_checked(
        self, file: str, expected: WeightFile, *, limit: int, source: str = CONFIG
    ) -> Path:
        """Return the path of a file that is as `source` says; another one is not kept.

        Raises:
            ZooError: as for `fetch`, or size or sha256 differ.
        """
        path = self.fetch(file, limit=limit)
        try:
            check_file(path, expected, source)
        except DamagedFile as error:
            self.forget(file)
            raise ZooError(f"{self.name}: {file}: {error.reason}; it was not kept") from error
        return path

    def forget(self, file: str) -> None:
        """Drop a file from this disk: the snapshot's link and all that it leads to.

        That is a blob of the repository or, for what came through Xet, a link from there to a blob
        that repositories share, which would be taken again instead of a download.
        """
        path = self.cached(file)
        while path is not None:
            target = path.parent / path.readlink() if path.is_symlink() else None
            path.unlink(missing_ok=True)
            path = target

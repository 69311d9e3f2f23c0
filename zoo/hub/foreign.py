"""Repositories of the Hub in the formats of other libraries, as model folders of the zoo."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from zoo.config.model import WeightFile
from zoo.folder.adopt import adopt, is_made, place
from zoo.folder.read import CONFIG
from zoo.hub.client import hub_errors
from zoo.hub.snapshot import Snapshot
from zoo.interfaces.format import MAX_WEIGHT_BYTES, Files


class RepositoryFiles(Files):
    """The files of a repository at one commit, each fetched when a format asks for it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.where = f"{snapshot.repo}@{snapshot.commit}"
        self.snapshot = snapshot
        self.names: Collection[str] = snapshot.listing

    def path(self, name: str, limit: int = MAX_WEIGHT_BYTES) -> Path:
        """Return where a file is; raises as `Files` does, and what `hub_errors` raises."""
        with hub_errors(self.snapshot.repo, self.snapshot.commit):
            lfs = self.snapshot.listing[name].lfs if name in self.snapshot.listing else None
            if lfs is None:
                return self.snapshot.fetch(name, limit=limit)
            expected = WeightFile(lfs.size, lfs.sha256)
            return self.snapshot.fetch_checked(name, expected, limit=limit, source="the Hub")


def adopted(snapshot: Snapshot) -> Path | None:
    """Return the folder that was made of this commit before, None if it has to be made."""
    target = _place(snapshot)
    if snapshot.access.local_files_only:  # whoever reads it says what is wrong with it
        return target if (target / CONFIG).is_file() else None
    return target if is_made(target) else None


def adopt_repository(snapshot: Snapshot) -> Path:
    """Return the model folder made of a commit in another library's format.

    Raises:
        ZooError: no format knows it; it needs what is not installed; a file is not what the Hub
            says; as for `adopt`.
    """
    return adopt(RepositoryFiles(snapshot), _place(snapshot))


def _place(snapshot: Snapshot) -> Path:
    return place(snapshot.repo.replace("/", "--"), snapshot.commit)

"""Repositories of the Hub in the formats of other libraries, as model folders of the zoo."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from zoo.config import WeightFile
from zoo.errors import ZooError
from zoo.folder import CONFIG, DamagedFile, check_file
from zoo.formats.adopt import adopt, is_made, place
from zoo.hub.client import one_line
from zoo.hub.snapshot import Snapshot
from zoo.interfaces.format import MAX_WEIGHT_BYTES, Files


class RepositoryFiles(Files):
    """The files of a repository at one commit, each fetched when a format asks for it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.where = f"{snapshot.repo}@{snapshot.commit}"
        self.snapshot = snapshot
        self.names: Collection[str] = snapshot.listing

    def path(self, name: str, limit: int = MAX_WEIGHT_BYTES) -> Path:
        """Return where a file is; raises as described in `Files`, and what `one_line` raises."""
        with one_line(self.snapshot.repo, self.snapshot.commit):
            path = self.snapshot.fetch(name, limit=limit)
            if (lfs := self.snapshot.listing[name].lfs) is not None:
                self._check(name, path, WeightFile(lfs.size, lfs.sha256))
        return path

    def _check(self, name: str, path: Path, expected: WeightFile) -> None:
        """Compare a large file with what the Hub says of it; one that differs is dropped."""
        try:
            check_file(path, expected)
        except DamagedFile as error:
            self.snapshot.forget(name)
            reason = error.reason.replace("config.json says", "the Hub says")
            raise ZooError(f"{self.snapshot.name}: {name}: {reason}; it was not kept") from error


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

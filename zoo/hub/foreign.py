"""Repositories of the Hub in diffusers' format, as model folders of the zoo."""

from __future__ import annotations

from pathlib import Path

from zoo.config.model import MAX_CONFIG_BYTES, WeightFile
from zoo.errors import ZooError
from zoo.folder.read import CONFIG, DamagedFile, check_file
from zoo.foreign.adopt import adopt, is_made, place, settings_of
from zoo.foreign.diffusers import INDEX, is_diffusers
from zoo.hub.snapshot import Snapshot


def adopted(snapshot: Snapshot) -> Path | None:
    """Return the folder that was made of this commit before, None if it has to be made."""
    target = _place(snapshot)
    if snapshot.access.local_files_only:  # whoever reads it says what is wrong with it
        return target if (target / CONFIG).is_file() else None
    return target if is_made(target) else None


def is_foreign(snapshot: Snapshot) -> bool:
    """Return whether the commit is in diffusers' format; fetches no more than config.json."""
    there = snapshot.cached(CONFIG)
    if there is None:
        if INDEX in snapshot.listing:
            return True
        if CONFIG not in snapshot.listing:
            return False
        there = snapshot.fetch(CONFIG, limit=MAX_CONFIG_BYTES)
    try:
        return is_diffusers(settings_of(there, snapshot.name))
    except ZooError:
        return False  # whoever reads it next says what is wrong


def adopt_repository(snapshot: Snapshot) -> Path:
    """Return the model folder made of a commit in diffusers' format.

    Raises:
        ZooError: it is not an unconditional model of images, needs what is not installed, or a
            file is not what the Hub says.
    """

    def fetch(name: str, limit: int) -> Path:
        path = snapshot.fetch(name, limit=limit)
        entry = snapshot.listing[name]
        if entry.lfs is not None:
            _check(snapshot, name, path, WeightFile(entry.lfs.size, entry.lfs.sha256))
        return path

    return adopt(snapshot.listing, fetch, _name(snapshot), _place(snapshot))


def _check(snapshot: Snapshot, name: str, path: Path, expected: WeightFile) -> None:
    """Compare a large file with what the Hub says of it; one that differs is dropped."""
    try:
        check_file(path, expected)
    except DamagedFile as error:
        snapshot.forget(name)
        reason = error.reason.replace("config.json says", "the Hub says")
        raise ZooError(f"{snapshot.name}: {name}: {reason}; it was not kept") from error


def _name(snapshot: Snapshot) -> str:
    return f"{snapshot.repo}@{snapshot.commit}"


def _place(snapshot: Snapshot) -> Path:
    return place(snapshot.repo.replace("/", "--"), snapshot.commit)

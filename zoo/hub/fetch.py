"""Fetch the files of a model, and no others, from the Hub into its cache on this disk."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from zoo.config.model import MAX_CONFIG_BYTES, Config, WeightFile, Weights
from zoo.errors import ZooError
from zoo.folder.formats import adopt, is_made, place_of
from zoo.folder.read import (
    CARD,
    CONFIG,
    MAX_CARD_BYTES,
    DamagedFile,
    check_file,
    is_own,
    read_config,
    refuse_options,
)
from zoo.host.requirements import check_requirements
from zoo.hub import Access
from zoo.hub.errors import hub_errors
from zoo.hub.snapshot import Snapshot
from zoo.interfaces.format import MAX_WEIGHT_BYTES, Files


def pull_repository(
    repo: str,
    *,
    revision: str | None = None,
    access: Access | None = None,
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Return the folder on this disk that holds the model of a repository, of the Hub's cache.

    One in another library's format becomes a model folder in the zoo's cache.

    A commit that is complete on this disk is used without a request; a branch or tag costs one,
    and is what it was last time when the network is gone. `options` are those of the format.

    Raises:
        NotOnHub: no such repository.
        Unreachable: no network, and not complete on this disk.
        ZooError: not a model, too large, needs an absent plugin, or does not match its hashes.
    """
    access = access or Access()
    with hub_errors(repo, revision, access.token):
        snapshot = Snapshot(repo, revision, access)
        if made := _adopted(snapshot, options):
            return made
        had_card = (snapshot.folder / CARD).is_file()
        card, there = snapshot.cached(CARD), snapshot.cached(CONFIG)
        if there is None or (had_card and card is None):
            # The card first: where config.json is on this disk, the card is too, or there is none.
            if CARD in snapshot.listing:
                snapshot.fetch(CARD, limit=MAX_CARD_BYTES)
            if CONFIG in snapshot.listing:
                there = snapshot.fetch(CONFIG, limit=MAX_CONFIG_BYTES)
        if there is None or not is_own(there.parent):
            return _adopt(snapshot, options)
        refuse_options(options, snapshot.name)
        snapshot.warn_about_code()
        folder = there.parent
        config = _config(snapshot, folder)
        check_requirements(config, snapshot.name)
        if config.weights.repo is None:
            for name, expected in config.weights.files.items():
                _fetch_weights(snapshot, name, expected)
    return folder


def pull_weights(weights: Weights, access: Access) -> list[Path]:
    """Return the files of weights that live in a repository other than the model's own.

    Raises:
        ZooError: as for pull_repository.
    """
    repo = str(weights.repo)
    with hub_errors(repo, weights.revision, access.token):
        snapshot = Snapshot(repo, weights.revision, access)
        return [_fetch_weights(snapshot, name, file) for name, file in weights.files.items()]


class RepositoryFiles(Files):
    """The files of a repository at one commit, each fetched when a format asks for it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.where = f"{snapshot.repo}@{snapshot.commit}"
        self.snapshot = snapshot
        self.names: Collection[str] = snapshot.listing

    def path(self, name: str, limit: int = MAX_WEIGHT_BYTES) -> Path:
        """Return where a file is; raises as `Files` does, and what `hub_errors` raises."""
        snapshot = self.snapshot
        with hub_errors(snapshot.repo, snapshot.commit, snapshot.access.token):
            return snapshot.fetch(name, limit=limit)


def _adopted(snapshot: Snapshot, options: Mapping[str, Any] | None) -> Path | None:
    """Return the folder that was made of this commit before, None if it has to be made."""
    target = _place(snapshot, options)
    if snapshot.access.local_files_only:  # whoever reads it says what is wrong with it
        return target if (target / CONFIG).is_file() else None
    return target if is_made(target) else None


def _adopt(snapshot: Snapshot, options: Mapping[str, Any] | None) -> Path:
    """Return the model folder made of a commit in another library's format."""

    def own() -> Config:
        return _config(snapshot, snapshot.fetch(CONFIG, limit=MAX_CONFIG_BYTES).parent)

    try:
        return adopt(RepositoryFiles(snapshot), _place(snapshot, options), own, options)
    except ZooError as error:
        if snapshot.cut_off is None or isinstance(error, DamagedFile):
            raise
        raise snapshot.cut_off from error  # what is on this disk is not all of it


def _place(snapshot: Snapshot, options: Mapping[str, Any] | None) -> Path:
    return place_of(options, snapshot.repo.replace("/", "--"), snapshot.commit)


def _config(snapshot: Snapshot, folder: Path) -> Config:
    return read_config(folder, f"{snapshot.name} is not a model of the zoo: {CONFIG}")


def _fetch_weights(snapshot: Snapshot, name: str, expected: WeightFile) -> Path:
    """Fetch and check; a file that differs from config.json is dropped and fetched once more."""
    if path := snapshot.cached(name):
        try:
            check_file(path, expected)
            return path
        except DamagedFile:
            if snapshot.access.local_files_only:
                raise
    # Before a byte is fetched: does the Hub list another size or sha256?
    entry = snapshot.entry(name)
    if entry.size != expected.size:
        raise ZooError(
            f"{snapshot.name}: {name} has {entry.size} bytes, {CONFIG} says {expected.size}"
        )
    if entry.sha256 is not None and entry.sha256 != expected.sha256:
        raise ZooError(
            f"{snapshot.name}: {name} has sha256 {entry.sha256[:12]}..., {CONFIG} says "
            f"{expected.sha256[:12]}...: the two are not of one model, write to its owner"
        )
    # Only now, when the Hub agrees with config.json: a wrong config.json costs nobody a good file.
    snapshot.forget(name)
    return snapshot.fetch_checked(name, expected, limit=expected.size)

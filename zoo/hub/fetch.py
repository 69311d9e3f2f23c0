"""Fetch the files of a model, and no others, from the Hub into its cache on this disk."""

from __future__ import annotations

from pathlib import Path

from zoo.config.model import MAX_CONFIG_BYTES, Config, WeightFile, Weights
from zoo.errors import ZooError
from zoo.folder.formats import UnknownFormat
from zoo.folder.read import (
    CARD,
    CONFIG,
    MAX_CARD_BYTES,
    DamagedFile,
    check_file,
    is_own,
    read_config,
)
from zoo.host.requirements import check_requirements
from zoo.hub.access import Access
from zoo.hub.client import hub_errors
from zoo.hub.foreign import adopt_repository, adopted
from zoo.hub.snapshot import Snapshot


def pull_repository(
    repo: str, *, revision: str | None = None, access: Access | None = None
) -> Path:
    """Return the folder on this disk that holds the model of a repository, of the Hub's cache.

    One in another library's format becomes a model folder in the zoo's cache.

    A commit that is complete on this disk is used without a request; a branch or tag costs one,
    and is what it was last time when the network is gone.

    Raises:
        NotOnHub: no such repository.
        Unreachable: no network, and not complete on this disk.
        ZooError: not a model, too large, needs an absent plugin, or does not match its hashes.
    """
    with hub_errors(repo, revision):
        snapshot = Snapshot(repo, revision, access or Access())
        if made := adopted(snapshot):
            return made
        there = snapshot.cached(CONFIG)
        if there is None:
            # The card first: where config.json is on this disk, the card is too, or there is none.
            if CARD in snapshot.listing:
                snapshot.fetch(CARD, limit=MAX_CARD_BYTES)
            if CONFIG in snapshot.listing:
                there = snapshot.fetch(CONFIG, limit=MAX_CONFIG_BYTES)
        if there is None or not is_own(there.parent):
            return _adopted(snapshot)
        snapshot.warn_about_code()
        folder = there.parent
        config = _config(snapshot, folder)
        check_requirements(config, snapshot.name)
        if config.weights.repo is None:
            _fetch_weights(snapshot, config.weights.files)
    return folder


def pull_weights(weights: Weights, access: Access) -> list[Path]:
    """Return the files of weights that live in a repository other than the model's own.

    Raises:
        ZooError: as for pull_repository.
    """
    if weights.repo is None:
        raise ZooError("these weights name no repository")
    with hub_errors(weights.repo, weights.revision):
        return _fetch_weights(Snapshot(weights.repo, weights.revision, access), weights.files)


def _adopted(snapshot: Snapshot) -> Path:
    """Return the model folder made of a commit that is not in the zoo's own format."""
    try:
        return adopt_repository(snapshot)
    except UnknownFormat as unknown:
        try:
            _config(snapshot, snapshot.fetch(CONFIG, limit=MAX_CONFIG_BYTES).parent)
        except ZooError as error:
            raise unknown.after(error) from error
        raise


def _config(snapshot: Snapshot, folder: Path) -> Config:
    return read_config(folder, f"{snapshot.name} is not a model of the zoo: {CONFIG}")


def _fetch_weights(snapshot: Snapshot, files: dict[str, WeightFile]) -> list[Path]:
    """Fetch and check; a file that differs from config.json is dropped and fetched once more."""
    return [_fetch_one(snapshot, name, expected) for name, expected in files.items()]


def _fetch_one(snapshot: Snapshot, name: str, expected: WeightFile) -> Path:
    if path := snapshot.cached(name):
        try:
            check_file(path, expected)
            return path
        except DamagedFile:
            if snapshot.access.local_files_only:
                raise
    _compare_with_listing(snapshot, name, expected)
    # Only now, when the Hub agrees with config.json: a wrong config.json costs nobody a good file.
    snapshot.forget(name)
    return snapshot.fetch_checked(name, expected, limit=expected.size)


def _compare_with_listing(snapshot: Snapshot, name: str, expected: WeightFile) -> None:
    """Refuse, before a byte is fetched, a file of which the Hub lists another size or sha256."""
    entry = snapshot.listing.get(name)
    if entry is None:
        raise ZooError(f"{snapshot.name} has no {name}, which its {CONFIG} lists")
    if entry.size != expected.size:
        raise ZooError(
            f"{snapshot.name}: {name} has {entry.size} bytes, {CONFIG} says {expected.size}"
        )
    if entry.lfs is not None and entry.lfs.sha256 != expected.sha256:
        raise ZooError(
            f"{snapshot.name}: {name} has sha256 {entry.lfs.sha256[:12]}..., {CONFIG} says "
            f"{expected.sha256[:12]}...: the two are not of one model, write to its owner"
        )

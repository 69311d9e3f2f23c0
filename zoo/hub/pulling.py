"""Pulling: the files of a model, and no others, from the Hub into its cache on this disk."""

from __future__ import annotations

from pathlib import Path

from zoo.config import MAX_CONFIG_BYTES, Config, WeightFile, Weights
from zoo.errors import ZooError
from zoo.folder import (
    CARD,
    CONFIG,
    MAX_CARD_BYTES,
    DamagedFile,
    check_file,
    check_requirements,
    is_own,
    read_config,
)
from zoo.formats.find import UnknownFormat
from zoo.hub.client import one_line
from zoo.hub.foreign import adopt_repository, adopted
from zoo.hub.snapshot import Snapshot
from zoo.refs import Access


def pull(
    ref: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Path:
    """Return the local folder of a model, all of its files fetched and checked.

    Args:
        ref: as for zoo.load: a zoo name, a Hub id "owner/name[@revision]", a folder.
        revision: branch, tag or commit of a Hub repository.
        token: for a private or gated repository; None for the one of `hf auth login`.
        cache_dir: the Hub cache, None for $HF_HOME's.
        local_files_only: ask nobody.

    Raises:
        ZooError: no such model, no network, or a file that is not what config.json says.
    """
    from zoo.locate import folder_of, resolve, weight_paths

    access = Access(token, cache_dir, local_files_only)
    folder = folder_of(ref, revision=revision, access=access)
    home, config = resolve(folder, read_config(folder), access)
    weight_paths(home, config.weights, access)
    return folder


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
    with one_line(repo, revision):
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
        snapshot.tell_of_code()
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
    with one_line(weights.repo, weights.revision):
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
    try:
        return read_config(folder)
    except ZooError as error:
        reason = str(error).removeprefix(f"{folder / CONFIG}: ")
        raise ZooError(f"{snapshot.name} is not a model of the zoo: {CONFIG}: {reason}") from error


def _fetch_weights(snapshot: Snapshot, files: dict[str, WeightFile]) -> list[Path]:
    """Fetch and check; a file that is not what it should be is dropped and fetched once more."""
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
    # What differs from a config that is right: another's wrong one costs nobody a good file.
    snapshot.forget(name)
    path = snapshot.fetch(name, limit=expected.size)
    try:
        check_file(path, expected)
    except DamagedFile as error:
        snapshot.forget(name)
        raise ZooError(f"{snapshot.name}: {name}: {error.reason}; it was not kept") from error
    return path


def _compare_with_listing(snapshot: Snapshot, name: str, expected: WeightFile) -> None:
    """Refuse, before a byte is fetched, a file that the Hub itself says is another one."""
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
            f"{expected.sha256[:12]}...: tell its owner, the two are not of one model"
        )

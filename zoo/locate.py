"""Where a model is: reference -> folder on this disk, fetched from the Hub where it has to be."""

from __future__ import annotations

from pathlib import Path

import msgspec

from zoo.config import Config, Weights
from zoo.errors import ZooError
from zoo.folder import check_file, is_own, read_config, refuse_links
from zoo.names import UnknownModel, find_model
from zoo.refs import Access, Hub, Local, Name, is_folder, parse_ref


def folder_of(
    ref: str | Path, *, revision: str | None = None, access: Access | None = None
) -> Path:
    """Return the folder that a reference stands for.

    A zoo name is a folder that ships with the package or a plugin, else a repository of the zoo's
    namespace on the Hub.

    Raises:
        ZooError: an unknown name, a folder that does not exist, a malformed reference, a
            repository that is not there; revision= for what has none.
    """
    ref = f"path:{ref}" if isinstance(ref, Path) else ref
    parsed, access = parse_ref(ref), access or Access()
    if isinstance(parsed, Hub):
        from zoo.hub import pull_repository

        return pull_repository(parsed.repo, revision=_revision(parsed, revision), access=access)
    if isinstance(parsed, Name):
        try:
            folder = find_model(parsed.name).folder
        except UnknownModel as unknown:
            if ":" in parsed.name:
                raise
            from zoo.hub import pull_named

            return pull_named(parsed.name, unknown, revision, access)
    else:
        folder = _local(ref, parsed)
    if revision is not None:
        raise ZooError(
            f"{ref} is a folder here and has no revision {revision!r}; for the Hub say hub:..."
        )
    return folder


def _local(ref: str, parsed: Local) -> Path:
    if not is_folder(parsed.path):
        raise ZooError(f"{ref}: there is no folder {parsed.path}")
    refuse_links(parsed.path)
    if is_own(parsed.path):
        return parsed.path
    from zoo.formats.adopt import adopt_folder

    return adopt_folder(parsed.path)


def resolve(folder: Path, config: Config, access: Access | None = None) -> tuple[Path, Config]:
    """Return the folder that a model's weights are in, or are listed in, and its whole config.

    Where config.json names a repository but no files, the network and the kernel that it was
    trained under are those of the model that is there; if `config` has another kernel, it is
    lifted from that one.

    Args:
        folder: of the model.
        config: of the folder.
        access: how to reach the Hub.

    Raises:
        ZooError: the model there cannot be had, or is of other data.
    """
    if config.weights.repo is None or config.weights.files:
        return folder, config
    from zoo.hub import pull_repository

    where = config.weights
    home = pull_repository(str(where.repo), revision=where.revision, access=access)
    there = read_config(home)
    if there.data.shape != config.data.shape:
        raise ZooError(
            f"{folder.name}: data.shape = {[*config.data.shape]}, {where.repo} has "
            f"{[*there.data.shape]}"
        )
    if there.weights.repo and not there.weights.files:
        raise ZooError(
            f"{folder.name}: {where.repo} has no weights of its own either; name the repository "
            f"that has them, as it does: {there.weights.repo}"
        )
    trained = there.lifted_from or there.kernel
    whole = msgspec.structs.replace(
        config,
        network=there.network,
        weights=there.weights,
        lifted_from=None if config.kernel == trained else trained,
    )
    return home, whole


def _revision(hub: Hub, revision: str | None) -> str | None:
    if revision and hub.revision and revision != hub.revision:
        raise ZooError(f"{hub.repo}@{hub.revision} and revision={revision!r} differ; give one")
    return revision or hub.revision


def weight_paths(folder: Path, weights: Weights, access: Access | None = None) -> list[Path]:
    """Return the weight files of a model folder, each compared with its size and sha256.

    They are in the folder, or in the Hub repository that config.json points at.

    Raises:
        ZooError: a file is missing or not what config.json says; no answer from the Hub.
    """
    if weights.repo is not None:
        from zoo.hub import pull_weights

        return pull_weights(weights, access or Access())
    paths = [folder / name for name in weights.files]
    for path, expected in zip(paths, weights.files.values(), strict=True):
        check_file(path, expected)
    return paths

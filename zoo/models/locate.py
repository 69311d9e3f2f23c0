"""Where a model is: reference -> folder on this disk, fetched from the Hub where it has to be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from zoo.config.model import Config, WeightFile, Weights
from zoo.errors import ZooError, brief
from zoo.files import is_file, is_folder
from zoo.folder.read import (
    check_weights,
    is_own,
    read_config,
    refuse_links,
    refuse_options,
    verify_file,
)
from zoo.folder.run import refuse_run
from zoo.hub import Access
from zoo.models.names import Hub, UnknownModel, find_model, folder_hint, parse_ref


def folder_of(
    ref: str | Path,
    *,
    revision: str | None = None,
    access: Access | None = None,
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Return the folder that a reference stands for.

    A zoo name is a folder that ships with the package or a plugin, else a repository of the zoo's
    namespace on the Hub. `options` are of the format, for files of another library.

    Raises:
        ZooError: an unknown name, a folder that does not exist, a malformed reference, a
            repository that is not there; revision= for what has none.
    """
    if options is not None and not isinstance(options, Mapping):
        raise ZooError(f"format_options = {brief(options)}; expected options by name, a dict")
    ref = f"path:{ref}" if isinstance(ref, Path) else ref
    parsed, access = parse_ref(ref), access or Access()
    if isinstance(parsed, Hub):
        return _pulled(str(ref), parsed, revision, access, options)
    if isinstance(parsed, str):
        try:
            folder = find_model(parsed).folder
        except UnknownModel as unknown:
            if ":" in parsed:
                raise
            refuse_options(options, parsed)
            return _pull_named(parsed, unknown, revision, access)
        refuse_options(options, parsed)
    else:
        folder = _local(ref, parsed, options)
    if revision is not None:
        raise ZooError(
            f"{ref} is a folder here and has no revision {revision!r}; for the Hub say hub:..."
        )
    return folder


def _pulled(
    ref: str,
    hub: Hub,
    revision: str | None,
    access: Access,
    options: Mapping[str, Any] | None,
) -> Path:
    from zoo.hub.errors import NotOnHub, Unreachable
    from zoo.hub.fetch import pull_repository

    own = _revision(hub, revision)
    try:
        return pull_repository(hub.repo, revision=own, access=access, options=options)
    except (NotOnHub, Unreachable) as error:
        hint = "" if ref.startswith("hub:") else folder_hint(ref)
        error.args = (f"{error}{hint}",)
        raise


def _local(ref: str, path: Path, options: Mapping[str, Any] | None) -> Path:
    if is_file(path):
        raise ZooError(
            f"{path} is a file; a model is a folder, and `zoo convert {path} FOLDER` makes "
            "one of a checkpoint of another library"
        )
    if not is_folder(path):
        raise ZooError(f"{ref}: there is no folder {path}")
    refuse_links(path)
    if is_own(path):
        refuse_options(options, ref)
        return path
    refuse_run(path, ref)
    from zoo.folder.formats import adopt_folder

    return adopt_folder(path, options)


def resolve(folder: Path, config: Config, access: Access | None = None) -> tuple[Path, Config]:
    """Return the folder that a model's weights are in, or are listed in, and its whole config.

    Where config.json names a repository but no files, the network and the kernel that it was
    trained under are those of the model that is there; if `config` has another kernel, it is
    lifted from that one.

    Raises:
        ZooError: the model there cannot be had, or is of other data.
    """
    if config.weights.repo is None or config.weights.files:
        return folder, config
    from zoo.hub.fetch import pull_repository

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
    of_student = [there.kernel, there.prior, there.solver] if there.distilled else []
    own = [config.kernel, config.prior, config.solver] if config.distilled else []
    if there.distilled != config.distilled or of_student != own:
        raise ZooError(
            f"{folder.name}: {where.repo} is {there.distilled or 'no student'}, config.json says "
            f"{config.distilled or 'no student'} under {config.kernel.use} by "
            f"{config.solver.use}; name it itself"
        )
    trained = there.lifted_from or there.kernel
    whole = msgspec.structs.replace(
        config,
        data=msgspec.structs.replace(
            config.data, standardise=there.data.standardise, latent=there.data.latent
        ),
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
    if weights.repo is None:
        return check_weights(folder, weights)
    from zoo.hub.fetch import pull_weights

    return pull_weights(weights, access or Access())


def _pull_named(name: str, unknown: ZooError, revision: str | None, access: Access) -> Path:
    """Return the folder of a zoo name on the Hub; raise `unknown` if it is not to be had there."""
    from zoo.hub.client import namespace
    from zoo.hub.errors import NotOnHub, Unreachable
    from zoo.hub.fetch import pull_repository

    repo = f"{namespace()}/{name}"
    try:
        return pull_repository(repo, revision=revision, access=access)
    except NotOnHub as error:
        raise type(unknown)(f"{unknown} (nor is there {repo} on the Hub)") from error
    except Unreachable as error:
        raise type(unknown)(f"{unknown}; or, if it is on the Hub: {error}") from error


def pull(
    ref: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    format_options: Mapping[str, Any] | None = None,
) -> Path:
    """Return the local folder of a model, all files of it and of its guide fetched and checked.

    Args:
        ref: as for zoo.load: a zoo name, a Hub id "owner/name[@revision]", a folder.
        revision: branch, tag or commit of a Hub repository.
        token: for a private or gated repository; None for the one of `hf auth login`.
        cache_dir: the Hub cache, None for $HF_HOME's.
        local_files_only: ask nobody.
        format_options: as for zoo.load.

    Raises:
        ZooError: no such model, no network, or a file that is not what config.json says.
    """
    access = Access(token, cache_dir, local_files_only)

    def fetch(folder: Path) -> Config:
        home, config = resolve(folder, read_config(folder), access)
        weight_paths(home, config.weights, access)
        return config

    folder = folder_of(ref, revision=revision, access=access, options=format_options)
    guidance = fetch(folder).guidance
    if guidance is not None:  # a guide's own guide is not asked
        fetch(folder_of(guidance.guide, access=access))
    return folder


def verify(ref: str, *, cache_dir: str | Path | None = None) -> dict[Path, WeightFile]:
    """Return the weight files of a model on this disk, their sha256 computed anew.

    Args:
        ref: a zoo name, a Hub id whose files are in the cache, or a folder.
        cache_dir: the Hub cache, None for $HF_HOME's.

    Raises:
        ZooError: not on this disk.
        DamagedFile: a file is not what config.json says; it will not be loaded either.
    """
    access = Access(cache_dir=cache_dir, local_files_only=True)
    folder = folder_of(ref, access=access)
    home, config = resolve(folder, read_config(folder), access)
    paths = weight_paths(home, config.weights, access)
    files = dict(zip(paths, config.weights.files.values(), strict=True))
    for path, expected in files.items():
        verify_file(path, expected)
    return files

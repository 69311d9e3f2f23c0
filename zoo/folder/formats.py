"""Checkpoints of other libraries: read by the one format that knows them, kept as model folders."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from zoo.config.model import Config, dump_config, parse_config
from zoo.errors import PluginError, ZooError, error_context, one_line
from zoo.folder.read import (
    CARD,
    CONFIG,
    MAX_CARD_BYTES,
    cache_folder,
    check_weights,
    describe,
    has_front_matter,
    read_config,
)
from zoo.folder.weights import network_with
from zoo.folder.write import write_folder
from zoo.formats.files import LocalFiles
from zoo.host import build
from zoo.host.build import options_of
from zoo.host.interrupt import only_ctrl_c
from zoo.host.places import place_in
from zoo.host.plugins import describe_error
from zoo.host.registry import Found, catalogue, find, hint
from zoo.host.requirements import check_requirements, requirements
from zoo.interfaces import Checkpoint, Files, Network


class UnknownFormat(ZooError):
    """No format knows the files.

    Attributes:
        tried: which formats were asked, and what to do.
    """

    def __init__(self, files: Files, tried: str) -> None:
        super().__init__(f"{files.where} is in no format that is known here: {tried}")
        self.tried = tried

    def after(self, error: ZooError) -> ZooError:
        """Return `error`, why the files are no model folder of the zoo, with what was tried."""
        return ZooError(f"{error}; nor is it in another format: {self.tried}")


def read_checkpoint(
    files: Files, options: Mapping[str, Any] | None = None, *, format: str | None = None
) -> Checkpoint:
    """Return the model in `files`, read by the one format that knows them.

    Args:
        files: of the checkpoint.
        options: of the format.
        format: its name; None asks every format.

    Raises:
        UnknownFormat: no format knows the files.
        ZooError: two formats do; the one that does cannot read them, or has no such option; what
            the model requires is not installed.
    """
    checkpoint = recognise(files, options, format=format)
    check_requirements(checkpoint.config, files.where)
    return checkpoint


def recognise(
    files: Files, options: Mapping[str, Any] | None = None, *, format: str | None = None
) -> Checkpoint:
    """Return the model in `files` as `read_checkpoint` does, whatever has to be installed for it.

    Raises:
        UnknownFormat: no format knows the files.
        ZooError: as `read_checkpoint`, but for what is not installed.
    """
    known = catalogue("formats") if format is None else {format: find("formats", format)}
    found: dict[str, Checkpoint] = {}
    broken: list[str] = []
    refused: dict[str, ZooError] = {}
    for name, component in known.items():
        try:
            if checkpoint := _read(component, files, options or {}):
                found[name] = checkpoint
        except PluginError as error:
            broken.append(str(error))
        except ZooError as error:
            refused[str(error)] = error
    if len(found) > 1:
        names = " and ".join(_owned(known, name) for name in found)
        raise ZooError(
            f"{files.where} is in the formats {names}; choose one by `zoo convert --format`"
        )
    if found:
        return next(iter(found.values()))
    if len(refused) == 1 and not broken:
        raise next(iter(refused.values()))
    if refused:
        raise ZooError("; ".join([*refused, *broken]))
    tried = ", ".join(_owned(known, name) for name in known) or "none is installed"
    details = "; ".join([f"tried {tried}", *broken, "`zoo components formats` says what they read"])
    raise UnknownFormat(files, f"{details}{hint()}")


def _owned(known: Mapping[str, Found], name: str) -> str:
    return f"{name} (plugin {known[name].plugin.name})"


def _read(found: Found, files: Files, options: Mapping[str, Any]) -> Checkpoint | None:
    """Return what one format makes of the files, checked; None where it does not know them."""
    known = options_of(found, build.target_of(found))
    mine = {k: v for k, v in options.items() if known is None or known.others or k in known.named}
    reader = build.format(found.qualified, **mine)
    with _guarded(found, files):
        checkpoint = reader.read(files)
    if checkpoint is None:
        return None
    if not isinstance(checkpoint, Checkpoint):
        kind = type(checkpoint).__name__
        raise PluginError(f"{found.label} gave a {kind}; expected a zoo.interfaces.Checkpoint")
    if mine != options:
        build.format(found.qualified, **options)  # says which option it does not have
    config = _checked(found, checkpoint.config)
    tensors = partial(_load, found, files, checkpoint)
    return replace(checkpoint, config=config, tensors=tensors, by=found.label)


def _load(found: Found, files: Files, checkpoint: Checkpoint) -> dict[str, Tensor]:
    with _guarded(found, files):
        return {name: tensor.detach() for name, tensor in checkpoint.load().items()}


def _checked(found: Found, config: Config) -> Config:
    """Return the config as a config.json would hold it, with all that it requires."""
    try:
        config = parse_config(dump_config(config), "config")
    except Exception as error:
        raise PluginError(
            f"{found.label} gave a config that is none: {describe_error(error)}"
        ) from error
    return msgspec.structs.replace(config, requires=requirements(config))


@contextmanager
def _guarded(found: Found, files: Files) -> Iterator[None]:
    """Tell in one line what goes wrong while a format reads; its own mistakes are PluginErrors."""
    try:
        with only_ctrl_c():
            yield
    except (ZooError, KeyboardInterrupt):
        raise
    except MemoryError as error:
        raise ZooError(f"{files.where} asks for more memory than there is") from error
    except OSError as error:
        raise ZooError(f"cannot read {files.where}: {error.strerror or error}") from error
    except BaseException as error:
        raise PluginError(
            f"{found.label} failed on {files.where}: {describe_error(error)}{place_in(error)}"
        ) from error


def place(*parts: str) -> Path:
    """Return the folder in the cache for a repository at one commit, or a folder in one state."""
    return cache_folder() / "converted" / Path(*parts)


def is_made(target: Path) -> bool:
    """Return whether a folder in the cache is there, its weights as they were written."""
    try:
        check_weights(target, read_config(target).weights)
    except ZooError:
        return False
    return True


def place_of(options: Mapping[str, Any] | None, *parts: str) -> Path:
    """Return the folder in the cache for files that are read with options of their format.

    Raises:
        ZooError: an option is no JSON.
    """
    if not options:
        return place(*parts)
    try:
        text = json.dumps(options, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ZooError(f"format_options: {one_line(error)}; expected options as in JSON") from error
    return place(*parts[:-1], f"{parts[-1]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}")


def adopt(
    files: Files,
    target: Path,
    own: Callable[[], Config],
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Return `target`, the model folder that is made of `files` unless it is there.

    Args:
        files: of the checkpoint.
        target: in the cache.
        own: reads the files as a model of the zoo; it is asked, where no format knows them, why
            they are none.
        options: of the format; `target` is theirs alone.

    Raises:
        ZooError: as `read_checkpoint` and `write_checkpoint` do.
    """
    if is_made(target):
        return target
    try:
        checkpoint = read_checkpoint(files, options)
    except UnknownFormat as unknown:
        try:
            own()
        except ZooError as error:
            raise unknown.after(error) from error
        raise
    if not (target / CONFIG).is_file():
        shutil.rmtree(target, ignore_errors=True)  # what is left of one
    checkpoint = with_tensors(files, checkpoint)
    return write_checkpoint(files, checkpoint, target, otherwise="; set ZOO_CACHE to another one")


def adopt_folder(folder: Path, options: Mapping[str, Any] | None = None) -> Path:
    """Return the model folder made of a local folder in another format; anew when it changed.

    Raises:
        ZooError: no format knows it, or as for `adopt`.
    """
    folder = folder.resolve()
    files = LocalFiles(folder)
    state = hashlib.sha256(f"{folder}|{files.state()}".encode()).hexdigest()
    target = place_of(options, "local", state)
    return adopt(files, target, lambda: read_config(folder), options)


def with_tensors(files: Files, checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint with its tensors read, and found to be those of its config's network.

    Raises:
        ZooError: they are not, they cannot be read, or a part of the config cannot be built.
    """
    config, tensors = checkpoint.config, checkpoint.load()
    with error_context(f"{files.where}, as {checkpoint.by} reads it"):
        kernel = build.kernel_of(config.kernel, config.data.dim)
        build.prior_of(config.prior, kernel)
        build.solver_on(config.solver, config.steps, kernel)
        trained = config.lifted_from
        own = build.kernel_of(trained, config.data.dim) if trained else kernel

        def untrained() -> Network:
            return build.network_of(config.network, config.data.state_shape, own)

        network_with(untrained, tensors, "weights")
    return replace(checkpoint, tensors=tensors)


def write_checkpoint(
    files: Files,
    checkpoint: Checkpoint,
    folder: Path,
    *,
    license: str | None = None,
    otherwise: str = "",
) -> Path:
    """Write a model folder, all or nothing, and return it.

    Args:
        files: what the checkpoint was read from; its card is kept.
        checkpoint: as `read_checkpoint` returns it.
        folder: where to.
        license: of the weights; None for what the checkpoint says.
        otherwise: what to do where the folder cannot be written, for the error.

    Raises:
        ZooError: the tensors cannot be read, or the folder cannot be written.
    """
    tensors = checkpoint.load()
    record = checkpoint.config.training
    record = record.replace(other=record.other | _source(files))
    config = msgspec.structs.replace(checkpoint.config, training=record)
    name = folder.resolve().name if files.file else Path(files.where).name.partition("@")[0]
    card = "" if license else _card(files)
    try:
        license = license or checkpoint.license
        return write_folder(folder, config, tensors, card, name=name, license=license)
    except ZooError as error:
        raise ZooError(f"{error}{otherwise}") from error


def _source(files: Files) -> dict[str, object]:
    """Return where the weights are from, for the config's record of training."""
    if files.file is None:
        local = isinstance(files, LocalFiles)
        return {"trained_elsewhere": Path(files.where).name if local else files.where}
    sha256 = describe(files.path(files.file)).sha256
    if isinstance(files, LocalFiles):
        files.check_unchanged()
    return {"converted_from": {"file": files.file, "sha256": sha256}}


def _card(files: Files) -> str:
    """Return the card that lies beside the weights; "" where there is none."""
    if CARD not in files.names:
        return ""
    text = files.path(CARD, MAX_CARD_BYTES).read_text(encoding="utf-8", errors="replace")
    return text if has_front_matter(text) else ""

"""A checkpoint of another library as a model folder of the zoo, made once and kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from zoo.config.model import Config
from zoo.errors import ZooError
from zoo.folder.formats import UnknownFormat, read_checkpoint
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
from zoo.folder.write import write_folder
from zoo.formats.files import LocalFiles
from zoo.interfaces import Checkpoint, Files


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


def adopt(files: Files, target: Path, own: Callable[[], Config]) -> Path:
    """Return `target`, the model folder that is made of `files` unless it is there.

    Args:
        files: of the checkpoint.
        target: in the cache.
        own: reads the files as a model of the zoo; it is asked, where no format knows them, why
            they are none.

    Raises:
        ZooError: as `read_checkpoint` and `write_checkpoint` do.
    """
    if is_made(target):
        return target
    try:
        checkpoint = read_checkpoint(files)
    except UnknownFormat as unknown:
        try:
            own()
        except ZooError as error:
            raise unknown.after(error) from error
        raise
    if not (target / CONFIG).is_file():
        shutil.rmtree(target, ignore_errors=True)  # what is left of one
    return write_checkpoint(files, checkpoint, target, otherwise="; set ZOO_CACHE to another one")


def adopt_folder(folder: Path) -> Path:
    """Return the model folder made of a local folder in another format; anew when it changed.

    Raises:
        ZooError: no format knows it, or as for `adopt`.
    """
    folder = folder.resolve()
    files = LocalFiles(folder)
    state = hashlib.sha256(f"{folder}|{files.state()}".encode()).hexdigest()
    return adopt(files, place("local", state), lambda: read_config(folder))


def write_checkpoint(
    files: Files,
    checkpoint: Checkpoint,
    folder: Path,
    *,
    licence: str | None = None,
    otherwise: str = "",
) -> Path:
    """Write a model folder, all or nothing, and return it.

    Args:
        files: what the checkpoint was read from; its card is kept.
        checkpoint: as `read_checkpoint` returns it.
        folder: where to.
        licence: of the weights; None for what the checkpoint says.
        otherwise: what to do where the folder cannot be written, for the error.

    Raises:
        ZooError: the tensors cannot be read, or the folder cannot be written.
    """
    tensors = checkpoint.load()
    record = checkpoint.config.training
    record = record.replace(other=record.other | _source(files))
    config = msgspec.structs.replace(checkpoint.config, training=record)
    name = folder.resolve().name if files.file else Path(files.where).name.partition("@")[0]
    card = "" if licence else _card(files)
    try:
        licence = licence or checkpoint.licence
        return write_folder(folder, config, tensors, card, name=name, licence=licence)
    except ZooError as error:
        raise ZooError(f"{error}{otherwise}") from error


def _source(files: Files) -> dict[str, object]:
    """Return where the weights are from, for the config's record of training."""
    if files.file is None:
        return {"trained_elsewhere": files.where}
    sha256 = describe(files.path(files.file)).sha256
    return {"converted_from": {"file": files.file, "sha256": sha256}}


def _card(files: Files) -> str:
    """Return the card that lies beside the weights; "" where there is none."""
    if CARD not in files.names:
        return ""
    text = files.path(CARD, MAX_CARD_BYTES).read_text(encoding="utf-8", errors="replace")
    return text if has_front_matter(text) else ""

"""A checkpoint of another library as a model folder of the zoo, made once and kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import msgspec
from safetensors import SafetensorError

from zoo.config.model import Weights, dump_config
from zoo.errors import ZooError
from zoo.folder.atomic import NewFolder
from zoo.folder.card import write_card
from zoo.folder.formats import UnknownFormat, read_checkpoint
from zoo.folder.read import (
    CARD,
    CONFIG,
    MAX_CARD_BYTES,
    WEIGHTS,
    cache_folder,
    check_file,
    describe,
    read_config,
)
from zoo.formats.files import LocalFiles
from zoo.formats.safetensors_file import save_tensors
from zoo.interfaces import Checkpoint, Files


def place(*parts: str) -> Path:
    """Return the folder in the cache for a repository at one commit, or a folder in one state."""
    return cache_folder() / "converted" / Path(*parts)


def is_made(target: Path) -> bool:
    """Return whether a folder in the cache is there, its weights as they were written."""
    try:
        for name, expected in read_config(target).weights.files.items():
            check_file(target / name, expected)
    except ZooError:
        return False
    return True


def adopt(files: Files, target: Path) -> Path:
    """Return `target`, the model folder that is made of `files` unless it is there.

    Raises:
        ZooError: as `read_checkpoint` and `write_checkpoint` do.
    """
    if is_made(target):
        return target
    checkpoint = read_checkpoint(files)
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
    try:
        return adopt(files, place("local", state))
    except UnknownFormat as unknown:
        try:
            read_config(folder)
        except ZooError as error:
            raise unknown.after(error) from error
        raise


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
    tensors = {n: v.cpu().contiguous().clone() for n, v in checkpoint.load().items()}
    card = "" if licence else _card(files)
    record = checkpoint.config.training
    record = record.replace(other=record.other | _source(files))
    config = msgspec.structs.replace(checkpoint.config, training=record)
    name = folder.resolve().name if files.file else Path(files.where).name.partition("@")[0]
    try:
        with NewFolder(folder) as beside:
            save_tensors(beside / WEIGHTS, tensors)
            weights = Weights(files={WEIGHTS: describe(beside / WEIGHTS)})
            config = msgspec.structs.replace(config, weights=weights)
            card = card or write_card(name, config, licence=licence or checkpoint.licence)
            (beside / CARD).write_text(card, encoding="utf-8")
            (beside / CONFIG).write_bytes(dump_config(config))
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ZooError(f"cannot write {folder}: {reason}{otherwise}") from error
    return folder


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
    return text if text.startswith("---\n") and "\n---\n" in text else ""

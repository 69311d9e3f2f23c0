"""A diffusers repository as a model folder of the zoo, made once and kept in the cache."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from zoo.config.model import MAX_CONFIG_BYTES, Weights, dump_config
from zoo.convert.torch_file import read_torch, state_of
from zoo.errors import ZooError, one_line
from zoo.folder.atomic import NewFolder
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
from zoo.folder.weights import read_weights
from zoo.foreign.diffusers import INDEX, check_index, layout, translate
from zoo.host.requirements import check_requirements

# (name of a file, most bytes) -> where it is on this disk, fetched if it was not.
Fetch = Callable[[str, int], Path]

MAX_WEIGHT_BYTES = 2**36
# Attention as diffusers called it until 2023.
_OLD = re.compile(r"(.*attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)")
_NEW = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def place(*parts: str) -> Path:
    """Return the folder in the cache for a repository at one commit, or a folder in one state."""
    return cache_folder() / "diffusers" / Path(*parts)


def settings_of(path: Path, where: str) -> dict[str, Any]:
    """Return a JSON file that holds one object.

    Raises:
        ZooError: too large, or no such file.
    """
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ZooError(f"{where}: {path.name} has more than {MAX_CONFIG_BYTES} bytes")
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ZooError(f"{where}: {path.name} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ZooError(f"{where}: {path.name} holds a {type(found).__name__}; expected settings")
    return found


def is_made(target: Path) -> bool:
    """Return whether a folder in the cache is there, its weights as they were written."""
    try:
        for name, expected in read_config(target).weights.files.items():
            check_file(target / name, expected)
    except ZooError:
        return False
    return True


def adopt(names: Collection[str], fetch: Fetch, where: str, target: Path) -> Path:
    """Return `target`, the model folder made of a repository in diffusers' format.

    Args:
        names: of the repository's files.
        fetch: gets one of them.
        where: what errors and the config call it.
        target: where the folder is or will be.

    Raises:
        ZooError: it is not an unconditional model of images, needs what is not installed, its
            weights are not tensors alone, or the cache cannot be written.
    """
    if is_made(target):
        return target
    if INDEX in names:
        check_index(settings_of(fetch(INDEX, MAX_CONFIG_BYTES), where), where)
    at = layout(names, where)
    unet, scheduler = (
        settings_of(fetch(name, MAX_CONFIG_BYTES), where) for name in (at.settings, at.scheduler)
    )
    config = translate(unet, scheduler, where)
    check_requirements(config, where)
    card = _card(fetch(CARD, MAX_CARD_BYTES)) if CARD in names else ""
    tensors = _tensors(fetch(at.weights, MAX_WEIGHT_BYTES))
    with _writing(target), NewFolder(target) as beside:
        save_file(tensors, beside / WEIGHTS, metadata={"format": "pt"})
        weights = Weights(files={WEIGHTS: describe(beside / WEIGHTS)})
        config = msgspec.structs.replace(config, weights=weights)
        if card:
            (beside / CARD).write_text(card, encoding="utf-8")
        (beside / CONFIG).write_bytes(dump_config(config))
    return target


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Tell in one line that the cache cannot be written."""
    try:
        if not (target / CONFIG).is_file():
            shutil.rmtree(target, ignore_errors=True)  # what is left of one
        yield
    except (OSError, SafetensorError) as error:
        reason = one_line(error)
        raise ZooError(f"cannot write {target}: {reason}; set ZOO_CACHE to another one") from error


def _tensors(path: Path) -> dict[str, Tensor]:
    """Return the network's tensors under the names of today, each with memory of its own."""
    safe = path.suffix == ".safetensors"
    found = read_weights([path]) if safe else state_of(read_torch(path), path)
    return {f"unet.{_renamed(name)}": v.contiguous().clone() for name, v in found.items()}


def _renamed(name: str) -> str:
    old = _OLD.fullmatch(name)
    return f"{old[1]}.{_NEW[old[2]]}.{old[3]}" if old else name


def _card(path: Path) -> str:
    """Return the repository's own card, with the licence of the weights; "" if it is none."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text if text.startswith("---\n") and "\n---\n" in text else ""


def adopt_folder(folder: Path) -> Path:
    """Return the model folder made of a local folder in diffusers' format; anew when it changed."""
    folder = folder.resolve()
    parts = (folder, folder / "unet", folder / "scheduler")
    files = {p.relative_to(folder).as_posix(): p for part in parts for p in part.glob("*.*")}
    files = {name: p for name, p in files.items() if p.is_file()}
    stats = sorted((name, p.stat().st_size, p.stat().st_mtime_ns) for name, p in files.items())
    state = hashlib.sha256(f"{folder}|{stats}".encode()).hexdigest()
    return adopt(files, lambda name, _: files[name], str(folder), place("local", state))

"""Checkpoints: one file, written beside and renamed, read without executing anything.

The file is torch's zip archive; the sha256 of all before it is the comment at the archive's end.
"""

from __future__ import annotations

import hashlib
import math
import os
import reprlib
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from zoo.errors import ZooError, one_line
from zoo.files import replacing
from zoo.training.power_ema import check_finite

FORMAT = 4
_KEYS = {"recipe", "data", "step"}
_MARK = b"sha256 "
_CHUNK = 1 << 20
_COMMENT = len(_MARK) + 64
_DAMAGED = "train into another folder, or move it away and begin anew"


def write_atomic(path: Path, state: dict[str, Any]) -> None:
    """Save `state` so that `path` always holds one whole checkpoint, whenever the power goes.

    Raises:
        ZooError: the disk is full or not writable; an earlier checkpoint stays intact.
    """
    try:
        with replacing(path) as beside, beside.open("x+b") as file:
            torch.save(state, file)
            _sign(file)
            file.flush()
            os.fsync(file.fileno())
    except (ZooError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, ZooError) else error
        reason = getattr(cause, "strerror", None) or one_line(error)
        kept = "; the checkpoint before it is intact" if path.exists() else ""
        raise ZooError(f"cannot write checkpoint {path}: {reason}{kept}") from error


def remove_leftovers(path: Path) -> None:
    """Remove what processes left that were killed while they wrote the checkpoint `path`."""
    for left in path.parent.glob(f".{path.name}.*.part"):
        with suppress(OSError):
            left.unlink()


def _sign(file: BinaryIO) -> None:
    """Make the digest of a zip archive without a comment its comment."""
    file.seek(-2, os.SEEK_END)  # the length of the comment
    file.write(_COMMENT.to_bytes(2, "little"))
    file.seek(0)
    digest = _digest(file)
    file.seek(0, os.SEEK_END)
    file.write(_MARK + digest)


def _is_signed(file: BinaryIO) -> bool:
    """Return whether the comment is the digest of all before it; leave the file at its start."""
    size = file.seek(0, os.SEEK_END) - _COMMENT
    if size < 0:
        return False
    file.seek(0)
    digest = _digest(file, size)
    found = file.read()
    file.seek(0)
    return found == _MARK + digest


def _digest(file: BinaryIO, size: int = sys.maxsize) -> bytes:
    """Return the sha256 of the next bytes of a file, at most `size` of them, in hexadecimal."""
    digest = hashlib.sha256()
    while size and (piece := file.read(min(size, _CHUNK))):
        digest.update(piece)
        size -= len(piece)
    return digest.hexdigest().encode()


def read(path: Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU with torch's weights-only loader, its digest compared.

    Raises:
        ZooError: there is none, it cannot be read, or it is not as it was written.
    """
    if path.exists() and not path.is_file():
        raise ZooError(f"{path} is no regular file; {_DAMAGED}")
    if not path.is_file():
        raise ZooError(f"nothing to resume: there is no {path}")
    try:
        with path.open("rb") as file:
            signed = _is_signed(file)
            state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ZooError(
            f"{path} is not a readable checkpoint: cut short, damaged, or of another program; "
            f"{_DAMAGED}"
        ) from error
    found = state.get("format") if isinstance(state, dict) else None
    if isinstance(found, int) and 1 <= found < FORMAT:
        raise ZooError(
            f"{path} is not a checkpoint that this version of zoo train reads: it has format "
            f"{found}, expected {FORMAT}; finish it with the version that began it"
        )
    if not isinstance(state, dict) or found != FORMAT or not state.keys() >= _KEYS:
        raise ZooError(f"{path} is not a checkpoint of this version of zoo train")
    if not signed:
        raise ZooError(f"{path} is damaged: its sha256 is not the one written with it; {_DAMAGED}")
    return state


def check_counts(path: Path, state: dict[str, Any], steps: int) -> None:
    """Check a checkpoint's recipe and figures against the number of steps of its run.

    Raises:
        ZooError: one is not of a run of so many steps.
    """
    if not isinstance(state["recipe"], dict):
        raise ZooError(f"{path}: its recipe is a {type(state['recipe']).__name__}; {_DAMAGED}")
    most = {"step": steps, "skipped": state["step"], "skipped_in_a_row": state.get("skipped")}
    for name, top in {**most, "best_step": state["step"]}.items():
        value = state.get(name)
        if type(value) is not int or type(top) is not int or not 0 <= value <= top:
            raise ZooError(f"{path}: {name} = {reprlib.repr(value)} of {top}; {_DAMAGED}")
    for name in ("validation_loss", "best_loss"):
        value = state.get(name)
        if value is not None and not (isinstance(value, float) and math.isfinite(value)):
            raise ZooError(f"{path}: {name} = {reprlib.repr(value)}; {_DAMAGED}")


def check_tensors(state: dict[str, Any], groups: Sequence[dict[str, Any]]) -> None:
    """Check that a checkpoint's tensors are finite, and its optimiser's state is that of `groups`.

    Shapes of weights are left to `load_state_dict`.

    Raises:
        LookupError, TypeError, ValueError: they are not, or something is not there.
    """
    for part in ("network", "ema"):
        for name, value in state[part].items():
            _check_finite(f"{part}.{name}", value)
    check_finite(state.get("powers", ()))
    saved = state["optimizer"]
    for old, own in zip(saved["param_groups"], groups, strict=True):
        for key in own.keys() - {"lr", "params"}:  # the rate is the schedule's, step by step
            if old[key] != own[key]:
                raise ValueError(f"the optimizer's {key} is {reprlib.repr(old[key])}")
    parameters = [p for group in groups for p in group["params"]]
    for index, moments in saved["state"].items():
        shape = parameters[index].shape
        for name, value in moments.items():
            _check_finite(f"optimizer.{index}.{name}", value)
            if isinstance(value, Tensor) and value.shape not in (torch.Size(), shape):
                raise ValueError(f"optimizer.{index}.{name} has shape {tuple(value.shape)}")
            if name == "step" and not 0 <= float(value) <= state["step"]:
                raise ValueError(f"optimizer.{index}.step is {float(value):g}")


def _check_finite(name: str, value: Any) -> None:
    if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
        raise ValueError(f"{name} is not finite")

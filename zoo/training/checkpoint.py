"""Checkpoints: one file, written beside and renamed, read without executing anything."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from zoo.errors import ZooError, one_line

FORMAT = 3
_KEYS = {"recipe", "data", "step"}


def write_atomic(path: Path, state: dict[str, Any]) -> None:
    """Save `state` so that `path` always holds one whole checkpoint, whenever the power goes.

    Raises:
        ZooError: the disk is full or not writable; an earlier checkpoint stays intact.
    """
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or one_line(error)
        kept = "; the checkpoint before it is intact" if path.exists() else ""
        raise ZooError(f"cannot write checkpoint {path}: {reason}{kept}") from error


def read(path: Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU with torch's weights-only loader.

    Raises:
        ZooError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise ZooError(f"nothing to resume: there is no {path}")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ZooError(
            f"{path} is not a readable checkpoint: cut short, damaged, or of another program; "
            "train into another folder, or move it away and begin anew"
        ) from error
    found = state.get("format") if isinstance(state, dict) else None
    if isinstance(found, int) and 1 <= found < FORMAT:
        raise ZooError(
            f"{path} is not a checkpoint that this version of zoo train reads: it has format "
            f"{found}, expected {FORMAT}; finish it with the version that began it"
        )
    if not isinstance(state, dict) or found != FORMAT or not state.keys() >= _KEYS:
        raise ZooError(f"{path} is not a checkpoint of this version of zoo train")
    return state

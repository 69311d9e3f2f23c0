"""The log of a run: log.jsonl, and TensorBoard's event files where the recipe asks for them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.errors import ZooError
from zoo.files import refuse_special, replacing

LOG = "log.jsonl"
BOARD = "tensorboard"
_AXES = ("step", "images")


def append(folder: Path, line: dict[str, Any]) -> None:
    """Add one line to the run's log.

    Raises:
        ZooError: the disk is full or not writable.
    """
    refuse_special(folder / LOG)
    try:
        with (folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise ZooError(f"cannot write {folder / LOG}: {error.strerror}") from error


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return the log's lines; a half-written last one is left out.

    Raises:
        ZooError: the log cannot be read, or another line of it is not one of a run.
    """
    log = folder / LOG
    refuse_special(log)
    try:
        raw = log.read_bytes() if log.exists() else b""
    except OSError as error:
        raise ZooError(f"cannot read {log}: {error.strerror}") from error
    found = [_line(each) for each in raw.decode(errors="replace").splitlines()]
    if found and found[-1] is None:
        found.pop()
    if None in found:
        raise ZooError(f"{log}: line {found.index(None) + 1} is not of zoo train; move it away")
    return [line for line in found if line is not None]


def _line(text: str) -> dict[str, Any] | None:
    """Return a line of the log, None for what is none."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict) or not {"step", "images"} <= line.keys():
        return None
    numbers = (line["step"], line["images"], line.get("images_per_s") or 0, line.get("loss") or 0)
    return line if all(isinstance(n, int | float) for n in numbers) else None


def cut(folder: Path, step: int) -> None:
    """Drop what was logged after `step`: a resumed run writes it again.

    Raises:
        ZooError: the disk is full or not writable, or the log is of something else.
    """
    kept = [line for line in lines(folder) if line["step"] <= step]
    with replacing(folder / LOG) as beside:
        beside.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


def mean(losses: Sequence[float]) -> float | None:
    """Return the mean of the finite losses, None if there are none: the others were skipped."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    return sum(finite) / len(finite) if finite else None


def last_loss(folder: Path, over: int = 10) -> float | None:
    """Return the mean loss over the last lines of the log that have one, None if none has."""
    logged = [line["loss"] for line in lines(folder) if line.get("loss") is not None]
    recent = mean(logged[-over:])
    return None if recent is None else round(recent, 4)


def hours(folder: Path) -> float:
    """Return how long the run has computed, from the rates that it logged."""
    seconds, before = 0.0, 0
    for line in lines(folder):
        if not line.get("images_per_s"):
            continue
        seconds += (line["images"] - before) / line["images_per_s"]
        before = line["images"]
    return round(seconds / 3600, 2)


class TensorBoard:
    """Event files in the run's tensorboard/ folder.

    Args:
        folder: of the run.
        step: where the run stands; what an earlier process logged beyond it is not shown.

    Raises:
        ZooError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ZooError(
                "train.tensorboard = true needs the package tensorboard: "
                "pip install 'fieldzoo[train-tensorboard]'"
            ) from error
        self._writer: Any = SummaryWriter(str(folder / BOARD), purge_step=step + 1)

    def add(self, line: dict[str, Any]) -> None:
        """Add the figures of one line of the log, over its step."""
        for name, value in line.items():
            if name not in _AXES and isinstance(value, int | float):
                self._writer.add_scalar(name, value, line["step"])
        self._writer.flush()

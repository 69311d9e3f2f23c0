"""The log of a run: log.jsonl, and TensorBoard's event files where the recipe asks for them."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from zoo.errors import ZooError
from zoo.files import reading, refuse_special, replacing

LOG = "log.jsonl"
BOARD = "tensorboard"
_AXES = ("step", "images")
# A line of ours has some 200 characters; images per second are at least those of one in a year.
_LONGEST_LINE = 100_000
_MOST, _LEAST_RATE = 2**63, 1e-8


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


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the log's lines, one at a time in memory; a half-written last one is left out.

    Raises:
        ZooError: the log cannot be read, or another line of it is not one of a run.
    """
    log = folder / LOG
    refuse_special(log)
    if not log.exists():
        return
    with reading(log), log.open("rb") as file:
        number, torn = 0, False
        while text := file.readline(_LONGEST_LINE):
            if torn:
                raise ZooError(f"{log}: line {number} is not of zoo train; move it away")
            number += 1
            line = _line(text)
            torn = line is None
            if line is not None:
                yield line


def _line(text: bytes) -> dict[str, Any] | None:
    """Return a line of the log, None for what is none."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not {"step", "images"} <= line.keys():
        return None
    rate, loss = line.get("images_per_s") or _LEAST_RATE, line.get("loss") or 0.0
    counts = all(type(line[key]) is int and 0 <= line[key] < _MOST for key in _AXES)
    figures = isinstance(rate, int | float) and _LEAST_RATE <= rate < _MOST
    return line if counts and figures and isinstance(loss, float) else None


def cut(folder: Path, step: int) -> None:
    """Drop what was logged after `step`: a resumed run writes it again.

    Raises:
        ZooError: the disk is full or not writable, or the log is of something else.
    """
    with replacing(folder / LOG) as beside, beside.open("w", encoding="utf-8") as file:
        for line in lines(folder):
            if line["step"] <= step:
                file.write(json.dumps(line) + "\n")


def mean(losses: Iterable[float]) -> float | None:
    """Return the mean of the finite losses, None if there are none: the others were skipped."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    return sum(finite) / len(finite) if finite else None


def last_loss(folder: Path) -> float | None:
    """Return the mean loss over the last ten lines of the log that have one, None if none has."""
    logged = (line["loss"] for line in lines(folder) if line.get("loss") is not None)
    recent = mean(deque(logged, maxlen=10))
    return None if recent is None else round(recent, 4)


def hours(folder: Path) -> float:
    """Return how long the run has computed, from the rates that it logged."""
    seconds, before = 0.0, 0
    for line in lines(folder):
        if not line.get("images_per_s"):
            continue
        seconds += max(0, line["images"] - before) / line["images_per_s"]
        before = line["images"]
    return round(seconds / 3600, 2)


class TensorBoard:
    """Event files in the run's tensorboard/ folder.

    Args:
        folder: of the run.
        step: where the run stands; what an earlier process logged beyond it is not shown.

    Raises:
        ZooError: tensorboard is not installed, or the folder cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ZooError(
                "train.tensorboard = true needs the package tensorboard: "
                "pip install 'fieldzoo[train-tensorboard]'"
            ) from error
        try:
            self._writer: Any = SummaryWriter(str(folder / BOARD), purge_step=step + 1)
        except OSError as error:
            raise ZooError(f"cannot write into {folder / BOARD}: {error.strerror}") from error

    def add(self, line: dict[str, Any]) -> None:
        """Add the figures of one line of the log, over its step."""
        for name, value in line.items():
            if name not in _AXES and isinstance(value, int | float):
                self._writer.add_scalar(name, value, line["step"])
        self._writer.flush()

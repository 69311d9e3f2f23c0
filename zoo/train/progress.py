"""What a run has logged so far."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.errors import ZooError
from zoo.files import replacing

LOG = "log.jsonl"


def append(folder: Path, line: dict[str, Any]) -> None:
    """Add one line to the run's log.

    Raises:
        ZooError: the disk is full or not writable.
    """
    try:
        with (folder / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise ZooError(f"cannot write {folder / LOG}: {error.strerror}") from error


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return the log's lines; a half-written last one is left out."""
    log = folder / LOG
    text = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line) for line in text if line.endswith("}")]


def cut(folder: Path, step: int) -> None:
    """Drop what was logged after `step`: a resumed run writes it again.

    Raises:
        ZooError: the disk is full or not writable.
    """
    kept = [line for line in lines(folder) if line["step"] <= step]
    with replacing(folder / LOG) as beside:
        beside.write_text("".join(json.dumps(line) + "\n" for line in kept))


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
        if "images_per_s" not in line:
            continue
        seconds += (line["images"] - before) / line["images_per_s"]
        before = line["images"]
    return round(seconds / 3600, 2)

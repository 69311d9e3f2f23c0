"""What a run has logged so far."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LOG = "log.jsonl"


def append(folder: Path, line: dict[str, Any]) -> None:
    """Add one line to the run's log."""
    with (folder / LOG).open("a") as file:
        file.write(json.dumps(line) + "\n")


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return the log's lines; a half-written last one is left out."""
    log = folder / LOG
    text = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line) for line in text if line.endswith("}")]


def cut(folder: Path, step: int) -> None:
    """Drop what was logged after `step`: a resumed run writes it again."""
    kept = [line for line in lines(folder) if line["step"] <= step]
    (folder / LOG).write_text("".join(json.dumps(line) + "\n" for line in kept))


def last_loss(folder: Path, over: int = 10) -> float | None:
    """Return the mean loss over the last lines of the log, None if there are none."""
    losses = [float(line["loss"]) for line in lines(folder)[-over:]]
    return round(sum(losses) / len(losses), 4) if losses else None


def hours(folder: Path) -> float:
    """Return how long the run has computed, from the rates that it logged."""
    seconds, before = 0.0, 0
    for line in lines(folder):
        seconds += (line["images"] - before) / line["images_per_s"]
        before = line["images"]
    return round(seconds / 3600, 2)

"""Timing of several candidates in turn, for all parts of the benchmarks.

All candidates of a part are run in turn, round after round, in one process, so that other load of
the machine affects all of them. A ratio is the median over the rounds of a candidate's time over
that of the bare candidate in the same round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from zoo.numerics.memory import keep_freed_memory

# A run of a candidate; it returns the divisor of its time, None for 1.
Run = Callable[[], int | None]


@dataclass(frozen=True)
class Row:
    """A candidate's times, in the part's unit, and their ratios to the bare candidate's."""

    name: str
    median: float
    min: float
    max: float
    ratio: float
    ratio_min: float
    ratio_max: float


@dataclass(frozen=True)
class Part:
    """The measurements of one script.

    Attributes:
        title, what: title and description of the section of the page.
        unit: unit of the times, such as "ms".
        rows: the bare candidate first.
        bar: the target for a ratio or a time, in words.
        notes: what could not be measured, and why.
    """

    title: str
    what: str
    unit: str
    rows: list[Row]
    bar: str = ""
    notes: list[str] = field(default_factory=list)


def side_by_side(
    runs: Mapping[str, Run],
    rounds: int,
    scale: float,
    digits: int = 1,
    warm: int = 1,
    *,
    twice: bool = False,
) -> list[Row]:
    """Return the rows of `runs`, the first of which is the bare one; times in seconds * scale.

    With `twice` every run is made twice and the second one timed, as one batch follows another.
    """
    keep_freed_memory()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-warm, rounds):
        for name, run in runs.items():
            if twice:
                run()
            start = time.perf_counter()
            parts = run() or 1
            if turn >= 0:
                times[name].append((time.perf_counter() - start) * scale / parts)
    bare = times[next(iter(runs))]
    return [row_of(name, values, bare, digits) for name, values in times.items()]


def row_of(name: str, values: list[float], bare: list[float], digits: int) -> Row:
    """Return the row of times `values`, measured in the same rounds as `bare`."""
    ratios = [value / one for value, one in zip(values, bare, strict=True)]
    spread = (statistics.median(values), min(values), max(values))
    relative = (statistics.median(ratios), min(ratios), max(ratios))
    return Row(name, *(round(v, digits) for v in spread), *(round(v, 3) for v in relative))


def arguments(doc: str, rounds: int, **more: int) -> argparse.Namespace:
    """Return --rounds, --json and the whole numbers `more` from the command line."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json", type=Path)
    for name, value in more.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def report(parts: list[Part], file: Path | None) -> None:
    """Print the parts as tables and write them as JSON."""
    for part in parts:
        print(f"{part.title} ({part.unit})")
        for row in part.rows:
            spread = f"{row.min:g} ... {row.max:g}"
            print(f"  {row.name:42s} {row.median:10g}  {spread:>22s}  {row.ratio:7.2f} x")
        for note in part.notes:
            print(f"  {note}", file=sys.stderr)
    if file:
        file.write_text(json.dumps([asdict(part) for part in parts], indent=2) + "\n")

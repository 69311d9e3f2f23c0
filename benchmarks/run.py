"""Everything that docs/benchmarks.md shows, measured by one command.

    python benchmarks/run.py [PART ...] [--rounds N] [--out docs]

Each part is a script of this folder, run as a process of its own, and measures itself against a
bare loop in the same run, and against the libraries that are installed. Parts that are not named
keep the figures they have. Writes benchmarks.json, benchmarks.md and benchmarks.png; the part
"accuracy" writes solvers.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from page import picture, written
from peers import installed

HERE = Path(__file__).parent
# Errors against evaluations: figures of accuracy, no timings.
ACCURACY = "accuracy"
PARTS = {
    "overhead": ("solver_overhead.py",),
    "overhead-one": ("solver_overhead.py", "--batch", "1"),
    "draws": ("draws.py",),
    "exact-field": ("exact_field.py",),
    "loading": ("load_folder.py",),
    "start-up": ("start_up.py",),
    "training": ("train_overhead.py",),
    "export": ("exported.py",),
    "costs": ("costs.py",),
}


def processor() -> str:
    """Return the name of the processor, if the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


def facts() -> dict[str, Any]:
    """Return the machine and the versions, on which the figures depend."""
    packages = {name: version(name) for name in ("fieldzoo", "torch", "numpy")}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": packages | installed()[0],
    }


def measured(part: str, rounds: int | None) -> dict[str, Any]:
    """Return the tables of a part, and the machine and versions."""
    script, *options = PARTS[part]
    if rounds is not None:
        options += ["--rounds", str(rounds)]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "part.json"
        subprocess.run(
            [sys.executable, str(HERE / script), *options, "--json", str(file)], check=True
        )
        return {"facts": facts(), "tables": json.loads(file.read_text(encoding="utf-8"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join([*PARTS, ACCURACY]))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs")
    given = parser.parse_args()
    names = given.parts or [*PARTS, ACCURACY]
    if unknown := set(names) - {*PARTS, ACCURACY}:
        parser.error(f"no part {min(unknown)!r}; there are {', '.join([*PARTS, ACCURACY])}")
    if ACCURACY in names:
        names.remove(ACCURACY)
        file = given.out / "solvers.json"
        subprocess.run(
            [sys.executable, str(HERE / "solver_accuracy.py"), "--json", str(file)], check=True
        )
    kept = given.out / "benchmarks.json"
    results = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for part in names:
        results[part] = measured(part, given.rounds)
        kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    ordered = {name: results[name] for name in PARTS if name in results}
    (given.out / "benchmarks.md").write_text(written(ordered), encoding="utf-8")
    picture(ordered, given.out / "benchmarks.png")


if __name__ == "__main__":
    main()

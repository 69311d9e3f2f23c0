"""Start-up of the commands that need no torch, and what importing torch or a peer takes.

    python benchmarks/start_up.py [--rounds 7] [--json out.json]

Each is a separate process, from start to end; bytecode is cached after the first round.
"""

from __future__ import annotations

import subprocess
import sys

from peers import installed
from timing import Part, Run, arguments, report, side_by_side

MODULES = {"diffusers": "diffusers", "azula": "azula.sample", "k-diffusion": "k_diffusion"}


def command(*args: str) -> Run:
    def run() -> None:
        subprocess.run([sys.executable, *args], check=True, capture_output=True)

    return run


def main() -> None:
    given = arguments(__doc__, rounds=7)
    found, notes = installed()
    runs: dict[str, Run] = {
        "python -c pass": command("-c", "pass"),
        "zoo --help": command("-m", "zoo", "--help"),
        "zoo list": command("-m", "zoo", "list"),
        "zoo components": command("-m", "zoo", "components"),
        "import zoo": command("-c", "import zoo"),
        "import torch": command("-c", "import torch"),
    }
    modules = {name: module for name, module in MODULES.items() if name in found}
    runs |= {f"import {module}": command("-c", f"import {module}") for module in modules.values()}
    rows = side_by_side(runs, given.rounds, scale=1, digits=3)
    part = Part("Start-up", "Processes, start to end.", "s", rows, "", notes)
    report([part], given.json)


if __name__ == "__main__":
    main()

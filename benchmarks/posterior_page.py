"""Write the tables of docs/posterior.md from docs/posterior.json.

python benchmarks/posterior.py --json docs/posterior.json
python benchmarks/posterior_page.py
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from tabulate import tabulate

DOCS = Path(__file__).parent.parent / "docs"
SEEN = {"mask": "two thirds seen", "downscale": "a quarter of the pixels", "linear": "32 numbers"}
DATA = {"garments14": "garments 14x14", "garments28": "garments 28x28", "plane": "points"}


PLANE = {"mask": "one of two coordinates", "linear": "one projection"}


def cell(row: dict[str, Any]) -> str:
    half = (row["high"] - row["low"]) / 2
    return f"{row['distance']:.2f} ± {half:.2f}, {row['consistency']:.2f}"


def setting(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["problem"], row["operator"], row["noise"], row["nfe"]


def tables(rows: list[dict[str, Any]]) -> str:
    """Return a table for each problem, a row per method, a column per kernel measured by mmps."""
    parts = []
    order = [*dict.fromkeys(map(setting, rows))]
    rows = sorted(rows, key=lambda row: order.index(setting(row)))
    for (problem, operator, noise, nfe), group in groupby(rows, key=setting):
        own = [*group]
        by_mmps = {row["kernel"] for row in own if row["method"] == "mmps"}
        kernels = [k for k in dict.fromkeys(row["kernel"] for row in own) if k in by_mmps]
        if not kernels:
            continue
        methods = [*dict.fromkeys(row["method"] for row in own)]
        at = {(row["method"], row["kernel"]): cell(row) for row in own}
        lines = [[method, *(at.get((method, k), "") for k in kernels)] for method in methods]
        seen = (PLANE if problem == "plane" else SEEN)[operator]
        head = f"{DATA[problem]}, {seen}, noise {noise}, {nfe} evaluations:"
        parts += [head, tabulate(lines, ["method", *kernels], tablefmt="github")]
    return "\n\n".join(parts)


def main() -> None:
    page = DOCS / "posterior.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition("<!-- table -->\n")
    _, _, after = rest.partition("<!-- /table -->")
    rows = json.loads((DOCS / "posterior.json").read_text())
    whole = f"{before}<!-- table -->\n{tables(rows)}\n<!-- /table -->{after}"
    page.write_text(whole, encoding="utf-8")


if __name__ == "__main__":
    main()

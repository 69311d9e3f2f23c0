"""Write docs/posterior-tables.md and the tables of docs/posterior.md from what was measured.

python benchmarks/posterior.py --json docs/posterior.json
python benchmarks/posterior_restore.py --json docs/posterior-garments.json
python benchmarks/posterior_page.py
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from posterior import METHODS
from tabulate import tabulate

DOCS = Path(__file__).parent.parent / "docs"
SEEN = {"mask": "two thirds seen", "downscale": "7x7 pixels", "linear": "32 numbers"}
DATA = {"garments14": "garments 14x14", "garments28": "garments 28x28", "plane": "points"}


NFE = 50  # evaluations of the summary
PLANE = {"mask": "one of two coordinates", "linear": "one projection"}


def cell(row: dict[str, Any]) -> str:
    half = (row["high"] - row["low"]) / 2
    return f"{row['distance']:.2f} ± {half:.2f}, {row['consistency']:.2f}"


def setting(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a table is of, in the order of the page."""
    problems, operators = [*DATA], [*SEEN]
    place = problems.index(row["problem"]), operators.index(row["operator"])
    return *place, -row["noise"], -row["nfe"]


def seen(row: dict[str, Any]) -> str:
    words = PLANE if row["problem"] == "plane" else SEEN
    return f"{DATA[row['problem']]}, {words[row['operator']]}"


def tables(rows: list[dict[str, Any]]) -> str:
    """Return a table for each problem, a row per method and a column per kernel."""
    parts = []
    for _, group in groupby(sorted(rows, key=setting), key=setting):
        own = [*group]
        kernels = [*dict.fromkeys(row["kernel"] for row in own)]
        methods = [m for m in METHODS if any(row["method"] == m for row in own)]
        at = {(row["method"], row["kernel"]): cell(row) for row in own}
        lines = [[method, *(at.get((method, k), "") for k in kernels)] for method in methods]
        of = own[0]
        head = f"## {seen(of)}, noise {of['noise']}, {of['nfe']} evaluations"
        parts += [head, tabulate(lines, ["method", *kernels], tablefmt="github")]
    return "\n\n".join(parts)


def summary(rows: list[dict[str, Any]]) -> str:
    """Return the share of the way that methods leave, a row per problem, over all kernels."""
    none = {(*setting(r), r["kernel"]): r["distance"] for r in rows if r["method"] == "none"}
    methods = [m for m in METHODS if m != "none"]
    lines = []
    for _, group in groupby(sorted(rows, key=setting), key=setting):
        own = [row for row in group if row["nfe"] == NFE]
        if not own:
            continue
        line = [f"{seen(own[0])}, noise {own[0]['noise']}"]
        for method in methods:
            found = [r for r in own if r["method"] == method]
            whole = [none[(*setting(r), r["kernel"])] for r in found]
            share = [r["distance"] / w for r, w in zip(found, whole, strict=True)]
            half = [(r["high"] - r["low"]) / (2 * w) for r, w in zip(found, whole, strict=True)]
            line.append(
                f"{round(100 * median(share))} ± {round(100 * median(half))}" if found else ""
            )
        lines.append(line)
    return tabulate(lines, ["", *methods], tablefmt="github", disable_numparse=True)


PAGE = """# How far posterior samples are from the truth

The energy distance of samples from the exact posterior of a finite data set, per √d, with its 95 %
interval over the y, and after the comma |y - A x| / σ, which of the truth is 1 (0.94 where the data
point is not the only one). "none" is the model that knows no y, "lift" gravity on the Gaussian
denoiser. [What is measured, and what it says](posterior.md#how-far-from-the-truth).

    python benchmarks/posterior.py --json docs/posterior.json
    python benchmarks/posterior_page.py

"""


def garments(rows: list[dict[str, Any]]) -> str:
    """Return the table of restored test garments, a row per model, library and method."""
    lines, said = [], ""
    for row in rows:
        if "rounds" in row:
            said = timed(row["rounds"])
            continue
        steps = f", {row['iterations']} passes back" if "iterations" in row else ""
        right = f"{row['class_right']:.3f} ± {1.96 * row['class_right_error']:.3f}"
        figures = (row[k] for k in ("coverage", "coverage_where_open", "consistency"))
        lines.append(
            [
                f"{row['model']}, {row['method']}{steps}",
                row["library"],
                *(f"{value:.3f}" for value in figures),
                right,
                f"{row['rmse_of_mean']:.3f}",
            ]
        )
    headers = [
        "",
        "by",
        "covered",
        "covered where open",
        "consistency",
        "class right",
        "rmse of the mean",
    ]
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True) + said


def timed(rounds: list[list[float]]) -> str:
    """Return a sentence on the times of an evaluation, ours and azula's."""
    own, other = (median(column) for column in zip(*rounds, strict=True))
    ratios = [a / b for a, b in rounds]
    return (
        f"\n\nAn evaluation of `mmps` takes {own:.1f} ms of the processor per image, azula's with "
        f"as many passes back {other:.1f} ms: in {len(rounds)} rounds, in turns, "
        f"{min(ratios):.2f} to {max(ratios):.2f} of azula's."
    )


def main() -> None:
    page = DOCS / "posterior.md"
    text = page.read_text(encoding="utf-8")
    rows, restored = (
        json.loads((DOCS / file).read_text())
        for file in ("posterior.json", "posterior-garments.json")
    )
    for name, made in (("summary", summary(rows)), ("garments", garments(restored))):
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        _, _, after = rest.partition(f"<!-- /{name} -->")
        text = f"{before}<!-- {name} -->\n{made}\n<!-- /{name} -->{after}"
    page.write_text(text, encoding="utf-8")
    (DOCS / "posterior-tables.md").write_text(f"{PAGE}{tables(rows)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Draw docs/solvers-nfe.png and print the tables of docs/solvers.md, from docs/solvers.json.

python benchmarks/solver_accuracy.py --json docs/solvers.json
python benchmarks/solver_page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tabulate import tabulate

from zoo.plotting.style import colours, new_figure, tidy

DOCS = Path(__file__).parent.parent / "docs"
SHOWN = {
    "heun": "heun",
    "exp-ab3 edm": "exp-ab3, EDM's grid",
    "exp-abm3": "exp-abm3",
    "exp-abm4": "exp-abm4",
    "exp-adaptive": "exp-adaptive",
    "dopri5": "dopri5",
    "torchdiffeq-dopri5": "torchdiffeq-dopri5",
}
# Below this a mean error is drawn as this: no sample was on a wrong source.
_LEAST = 1e-4


def key(row: dict[str, Any]) -> str:
    """Return a row's solver, with its grid where that is not its own."""
    grid = "wide" if "pivot" in row["options"] else row["options"].get("grid", "")
    return f"{row['solver']} {grid}".strip()


def draw(rows: list[dict[str, Any]]) -> None:
    figure = new_figure(8.0, 3.4)
    colour = colours(list(SHOWN))
    for axes, kernel in zip(figure.subplots(1, 2), ("gaussian", "gravity"), strict=True):
        for name, label in SHOWN.items():
            own = [r for r in rows if r["problem"] == "garments" and r["kernel"] == kernel]
            own = sorted((r for r in own if key(r) == name), key=lambda r: r["nfe"])
            x = [r["nfe"] for r in own]
            y = [max(r["mean_error"], _LEAST) for r in own]
            axes.plot(x, y, "o-", ms=3, lw=1.2, color=colour[name], label=label)
        axes.set_yscale("log")
        axes.set_xscale("log")
        axes.set_xticks([10, 20, 35, 50, 100], ["10", "20", "35", "50", "100"])
        axes.minorticks_off()
        axes.set_yticks([_LEAST, 1e-3, 1e-2, 1e-1], ["none", "0.001", "0.01", "0.1"])
        tidy(axes, kernel, "evaluations per sample", "mean endpoint error")
    axes.legend(fontsize=7, frameon=False)
    figure.savefig(DOCS / "solvers-nfe.png")


def garments(rows: list[dict[str, Any]]) -> str:
    """Return the table of garments: solver, setting, and per kernel evaluations, error, share."""
    table: dict[tuple[str, str], list[str]] = {}
    for row in (r for r in rows if r["problem"] == "garments"):
        fixed = not {"tol", "rtol"} & row["options"].keys()
        tolerance = row["options"].get("tol", row["options"].get("rtol"))
        setting = f"NFE {row['nfe']:.0f}" if fixed else f"tolerance {tolerance:g}"
        nfe = "" if fixed else f"{row['nfe']:.1f}: "
        cell = f"{nfe}{row['mean_error']:.4f}, {100 * row['same_source']:.0f} %"
        table.setdefault((key(row), setting), []).append(cell)
    lines = [[*names, *cells] for names, cells in table.items()]
    return tabulate(lines, ["solver", "setting", "Gaussian", "gravity"], tablefmt="github")


def endpoints(rows: list[dict[str, Any]], problem: str, error: str) -> str:
    """Return a table of errors, a row per solver and NFE, a column per kernel."""
    table: dict[tuple[str, str], dict[str, str]] = {}
    kernels: dict[str, None] = {}
    for row in (r for r in rows if r["problem"] == problem):
        if "rtol" in row["options"] or "tol" in row["options"]:
            continue
        kernels[row["kernel"]] = None
        place = table.setdefault((key(row), f"{row['nfe']:.0f}"), {})
        place[row["kernel"]] = f"{row[error]:.0e}"
    lines = [[*k, *(cells.get(kernel, "") for kernel in kernels)] for k, cells in table.items()]
    return tabulate(lines, ["solver", "NFE", *kernels], tablefmt="github", disable_numparse=True)


def main() -> None:
    rows = json.loads((DOCS / "solvers.json").read_text())["rows"]
    draw(rows)
    print(garments(rows), endpoints(rows, "gaussian", "worst_sample"), sep="\n\n")
    print("\n" + endpoints(rows, "mixture", "mean_error"))


if __name__ == "__main__":
    main()

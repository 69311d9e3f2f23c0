"""The page of the benchmarks: tables and a plot from docs/benchmarks.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from tabulate import tabulate

Results = dict[str, Any]

HEAD = """# Benchmarks

The overhead of the zoo and of other libraries over a bare loop. All candidates of a table are
measured in turn, round after round, in one run: a ratio is the median over the rounds, in brackets
its smallest and largest. Times depend on the machine and its load, ratios much less.

Written by `python benchmarks/run.py`, which runs the scripts of `benchmarks/` one by one;
`benchmarks/run.py overhead` measures one part again. Libraries that are not installed are left out.

![overhead per evaluation](benchmarks.png)
"""


def number(value: float) -> str:
    """Return three digits of a time or ratio."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def row(record: Results, unit: str) -> list[str]:
    """Return a table's row of one candidate."""
    spread = f"{number(record['min'])} to {number(record['max'])}"
    ratios = f"{number(record['ratio_min'])} to {number(record['ratio_max'])}"
    ratio = f"{record['ratio']:.2f} ({ratios})"
    return [record["name"], f"{number(record['median'])} {unit}", spread, ratio]


def section(table: Results) -> str:
    """Return one table with its description, its target and its notes."""
    headers = ["", "median", "least to largest", "ratio"]
    unit = table["unit"].partition(" ")[0]
    body = tabulate(
        [row(record, unit) for record in table["rows"]],
        headers,
        tablefmt="github",
        disable_numparse=True,
    )
    held = f" Target: {table['bar']}." if table["bar"] else ""
    per = f" Times are {table['unit']}." if " " in table["unit"] else ""
    notes = "".join(f"\n- {note}" for note in table["notes"])
    text = f"## {table['title']}\n\n{table['what']}{per}{held}\n\n{body}\n"
    return text + (f"{notes}\n" if notes else "")


def machine(facts: Results) -> str:
    """Return a line with the date, machine and versions of a measurement."""
    packages = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"{facts['date']}; {facts['machine']}, {facts['threads']} thread(s) of torch; "
        f"Python {facts['python']}; {packages}."
    )


def written(results: Results) -> str:
    """Return the page."""
    parts = [HEAD]
    for result in results.values():
        parts += [section(table) for table in result["tables"]]
    lines = [f"- {name}: {machine(result['facts'])}" for name, result in results.items()]
    parts.append("## Measured on\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def picture(results: Results, file: Path) -> None:
    """Draw the overhead per evaluation of every sampler at both batch sizes."""
    shown = [results[name]["tables"][0] for name in ("overhead", "overhead-one") if name in results]
    if not shown:
        return
    figure = Figure(figsize=(9, 7.5), layout="constrained")
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, table in zip(axes, shown, strict=True):
        rows = table["rows"][::-1]
        medians = [record["median"] for record in rows]
        low = [record["median"] - record["min"] for record in rows]
        high = [min(r["max"] - r["median"], 2 * r["median"]) for r in rows]
        colours = [colour(record["name"]) for record in rows]
        axis.barh([r["name"] for r in rows], medians, color=colours, xerr=[low, high], ecolor="0.6")
        axis.set_title(table["title"].removeprefix("Overhead per evaluation, "))
        axis.set_xlabel("microseconds per evaluation")
        axis.axvline(rows[-1]["median"], color="0.3", linewidth=0.8, linestyle=":")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)


def colour(name: str) -> str:
    """Return one colour for bare loops, one for the zoo, one for the others."""
    if name.startswith("bare"):
        return "0.45"
    return "#1f77b4" if name.startswith("zoo") else "#d9a441"

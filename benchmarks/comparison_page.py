"""The page of the comparison: tables and plots out of docs/comparison.json, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from tabulate import tabulate

Record = dict[str, Any]
HERO = "gravity-fashion-mnist"
FULL = 35  # evaluations, of the largest setting


def short(name: str) -> str:
    """Return "gravity" for "gravity-fashion-mnist"."""
    return name.partition("-")[0]


def shown(figure: Record) -> str:
    """Return value and half of the interval."""
    half = (figure["high"] - figure["low"]) / 2
    places = 0 if figure["value"] >= 100 else 1 if figure["value"] >= 10 else 2
    return f"{figure['value']:.{places}f} ± {half:.{places}f}"


def disturbance(setting: Record) -> str:
    """Return how a setting is disturbed, "" where it is not."""
    if setting.get("bits"):
        return f"{setting['bits']} bits"
    return f"noise {setting['noise']:g}" if setting.get("noise") else ""


def plain(records: list[Record]) -> list[Record]:
    """Return the undisturbed outcomes, by solver and evaluations."""
    found = [r for r in records if not disturbance(r["setting"])]
    return sorted(found, key=lambda r: (r["setting"]["solver"], r["setting"]["nfe"], r["model"]))


def table(rows: list[list[str]], headers: list[str]) -> str:
    """Return a table in Markdown."""
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def against_evaluations(records: list[Record]) -> str:
    """Return the Frechet distance by solver and evaluations, one column per model."""
    names = sorted({r["model"] for r in records})
    cells = {
        (r["setting"]["solver"], r["setting"]["nfe"], r["model"]): shown(r["metrics"]["frechet"])
        for r in plain(records)
    }
    rows = [
        [solver, str(nfe), *(cells.get((solver, nfe, name), "-") for name in names)]
        for solver, nfe in dict.fromkeys((s, n) for s, n, _ in cells)
    ]
    return table(rows, ["solver", "NFE", *map(short, names)])


def best_settings(records: list[Record], training: dict[str, float]) -> str:
    """Return every figure of each model at its own best setting."""
    names = ("frechet", "kid", "precision", "recall", "density", "coverage")
    rows = []
    for model in sorted({r["model"] for r in records}):
        best = min(
            (r for r in plain(records) if r["model"] == model),
            key=lambda r: r["metrics"]["frechet"]["value"],
        )
        setting = best["setting"]
        where = f"{setting['solver']}, {setting['nfe']}"
        rows.append([short(model), where, *(shown(best["metrics"][n]) for n in names)])
    if training:
        cells = (f"{training[n]:.3g}" for n in names)
        rows.append(["training images", "", *cells])
    return table(rows, ["model", "solver, NFE", *names])


def robustness(records: list[Record]) -> str:
    """Return the Frechet distance under each disturbance, one column per model."""
    names = sorted({r["model"] for r in records})
    base = {_walk(r) for r in records if disturbance(r["setting"])}
    rows: dict[tuple[str, int, str], dict[str, str]] = {}
    for record in records:
        if _walk(record) in base:
            where = (*_walk(record), disturbance(record["setting"]))
            rows.setdefault(where, {})[record["model"]] = shown(record["metrics"]["frechet"])
    body = [
        [solver, str(nfe), label or "none", *(rows[solver, nfe, label].get(n, "-") for n in names)]
        for solver, nfe, label in sorted(rows)
    ]
    return table(body, ["solver", "NFE", "disturbance", *map(short, names)])


def _walk(record: Record) -> tuple[str, int]:
    return record["setting"]["solver"], record["setting"]["nfe"]


def unfinished(records: list[Record]) -> str:
    """Return what has not been measured yet, in a sentence; "" where all has been."""
    most = max(r["setting"]["nfe"] for r in plain(records))
    missing = [f"more than {most} evaluations"] if most < FULL else []
    missing += [] if any("noise" in disturbance(r["setting"]) for r in records) else ["noise"]
    return f"Not measured yet: {' and '.join(missing)}." if missing else ""


def verdict(records: list[Record]) -> str:
    """Return where gravity stands, setting by setting, in words that the figures decide."""
    wins, losses, ties = [], [], []
    for record in records:
        others = [
            r
            for r in records
            if r["setting"] == record["setting"] and r["model"] != record["model"]
        ]
        if record["model"] != HERO or not others:
            continue
        best = min(others, key=lambda r: r["metrics"]["frechet"]["value"])
        own, other = record["metrics"]["frechet"], best["metrics"]["frechet"]
        setting = record["setting"]
        where = f"{setting['solver']} at {setting['nfe']}"
        where += f" with {disturbance(setting)}" if disturbance(setting) else ""
        said = f"{where} ({shown(own)} against {short(best['model'])}'s {shown(other)})"
        apart = own["high"] < other["low"] or other["high"] < own["low"]
        (ties if not apart else wins if own["value"] < other["value"] else losses).append(said)
    lines = [
        f"- {title}: {'; '.join(found) if found else 'nowhere'}."
        for title, found in (
            ("Gravity is better than the best of the others, intervals apart", wins),
            ("Gravity is worse than the best of the others, intervals apart", losses),
            ("No difference, intervals overlap", ties),
        )
    ]
    return "\n".join(lines)


def draw_evaluations(records: list[Record], path: Path) -> None:
    """Draw the distance against evaluations, a panel per solver and a line per model."""
    solvers = sorted({r["setting"]["solver"] for r in plain(records)})
    figure = Figure(figsize=(4 * len(solvers), 3.6), layout="constrained")
    panels = figure.subplots(1, len(solvers), sharey=True, squeeze=False)[0]
    for axes, solver in zip(panels, solvers, strict=True):
        for name in sorted({r["model"] for r in records}):
            found = [
                r for r in plain(records) if (r["setting"]["solver"], r["model"]) == (solver, name)
            ]
            figures = [r["metrics"]["frechet"] for r in found]
            axes.errorbar(
                [r["setting"]["nfe"] for r in found],
                [f["value"] for f in figures],
                yerr=[
                    [max(0.0, f["value"] - f["low"]) for f in figures],
                    [f["high"] - f["value"] for f in figures],
                ],
                marker="o",
                markersize=4,
                capsize=3,
                label=short(name),
            )
        axes.set(title=solver, xlabel="evaluations", xscale="log", yscale="log")
        axes.set_xticks(sorted({r["setting"]["nfe"] for r in found}))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("Frechet distance, garment features")
    panels[0].legend()
    figure.savefig(path, dpi=110)


def draw_robustness(records: list[Record], path: Path) -> None:
    """Draw the distance under each disturbance, a group of bars per disturbance."""
    hurt = [r for r in records if disturbance(r["setting"])]
    labels = sorted({disturbance(r["setting"]) for r in hurt}, key=lambda x: ("bits" in x, x))
    names = sorted({r["model"] for r in hurt})
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for i, name in enumerate(names):
        found = {
            disturbance(r["setting"]): r["metrics"]["frechet"] for r in hurt if r["model"] == name
        }
        places = [j + 0.8 * (i + 0.5) / len(names) - 0.4 for j in range(len(labels))]
        values = [found[x]["value"] if x in found else 0.0 for x in labels]
        halves = [(found[x]["high"] - found[x]["low"]) / 2 if x in found else 0.0 for x in labels]
        axes.bar(places, values, 0.8 / len(names), yerr=halves, capsize=3, label=short(name))
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylabel("Frechet distance, garment features")
    axes.legend()
    figure.savefig(path, dpi=110)


def write_page(found: Record, docs: Path) -> None:
    """Write comparison.md, comparison-nfe.png and comparison-robustness.png into `docs`."""
    records = [*found["outcomes"].values()]
    draw_evaluations(records, docs / "comparison-nfe.png")
    draw_robustness(records, docs / "comparison-robustness.png")
    seeds = found["seeds"]
    how = (
        "the delete-a-group jackknife over the samples"
        if len(seeds) == 1
        else "Student's t over seeds"
    )
    page = f"""# The shipped models side by side

Same data (Fashion-MNIST), same network, same start and budget of images, another kernel: how near
do {found["samples"]:,} samples a seed (seed {", ".join(map(str, seeds))}) come to the test images?
{unfinished(records)}
Written by `python benchmarks/comparison.py`, which measures what is not yet in `comparison.json`.

Distances are Frechet distances on *garment features*, the penultimate layer of a small classifier
that ships with fieldzoo. They are no FID and are to be compared with one another only, at one
number of samples: fewer samples give larger distances. ± is half of a 95 % interval, by
{how}.
It covers the drawing of samples. It does not cover training: another seed of training would move
every figure, and one model per kernel cannot say by how much.

## Distance against evaluations

![distance against evaluations](comparison-nfe.png)

{against_evaluations(records)}

## Each model at its best of these settings

{best_settings(records, found["training_images"])}

The last row is what as many images of the training set score: the best to hope for.

## Robustness

Noise: after each step but the last, `amount x sigma(t) x N(0, I)` is added to the state, where
sigma(t) is the kernel's own level (median radius over sqrt d). Bits: every matrix and convolution
of the network is rounded to 2^bits - 1 evenly spaced values.

{robustness(records)}

![distance under disturbances](comparison-robustness.png)

## Where gravity wins, and where it does not

{verdict(records)}
"""
    beside = docs / ".comparison.md.part"
    beside.write_text(page, encoding="utf-8")
    beside.replace(docs / "comparison.md")

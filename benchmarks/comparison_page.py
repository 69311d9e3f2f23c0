"""The page of the comparison: tables and plots out of docs/comparison.json, and what they say."""

from __future__ import annotations

from pathlib import Path

from comparison_plots import draw_evaluations, draw_robustness
from comparison_records import Record, disturbance, duels, plain, pooled, short, walk
from tabulate import tabulate

FULL = 35  # evaluations, of the largest setting


def shown(figure: Record) -> str:
    """Return value and half of the interval, where it has one."""
    places = 0 if figure["value"] >= 100 else 1 if figure["value"] >= 10 else 2
    half = (figure["high"] - figure["low"]) / 2
    return f"{figure['value']:.{places}f}" + (f" ± {half:.{places}f}" if half else "")


def table(rows: list[list[str]], headers: list[str]) -> str:
    """Return a table in Markdown."""
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def against_evaluations(records: list[Record]) -> str:
    """Return the Frechet distance by solver and evaluations, one column per model."""
    names = sorted({r["model"] for r in records})
    cells = {(*walk(r), r["model"]): shown(r["metrics"]["frechet"]) for r in plain(records)}
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
        where = "{}, {}".format(*walk(best))
        rows.append([short(model), where, *(shown(best["metrics"][n]) for n in names)])
    if training:
        cells = (f"{training[n]:.3g}" for n in names)
        rows.append(["training images", "", *cells])
    return table(rows, ["model", "solver, NFE", *names])


def robustness(records: list[Record]) -> str:
    """Return the Frechet distance under each disturbance, one column per model."""
    names = sorted({r["model"] for r in records})
    base = {walk(r) for r in records if disturbance(r["setting"])}
    rows: dict[tuple[str, int, str], dict[str, str]] = {}
    for record in records:
        if walk(record) in base:
            where = (*walk(record), disturbance(record["setting"]))
            rows.setdefault(where, {})[record["model"]] = shown(record["metrics"]["frechet"])
    body = [
        [solver, str(nfe), label or "none", *(rows[solver, nfe, label].get(n, "-") for n in names)]
        for solver, nfe, label in sorted(rows)
    ]
    return table(body, ["solver", "NFE", "disturbance", *map(short, names)])


def unfinished(records: list[Record]) -> str:
    """Return what has not been measured yet, in a sentence; "" where all has been."""
    most = max(r["setting"]["nfe"] for r in plain(records))
    missing = [f"more than {most} evaluations"] if most < FULL else []
    missing += [] if any("noise" in disturbance(r["setting"]) for r in records) else ["noise"]
    return f"Not measured yet: {' and '.join(missing)}." if missing else ""


def apart(against: Record) -> bool:
    """Return whether a ratio's interval leaves out 1."""
    return bool(against["low"] > 1 or against["high"] < 1)


def ratios(records: list[Record]) -> str:
    """Return gravity's distance over that of every other model, in bold where it is not 1."""
    found = duels(records)
    names = sorted({name for _, others in found for name in others})
    rows = []
    for own, others in found:
        solver, nfe = walk(own)
        row = [solver, str(nfe), disturbance(own["setting"]) or "none"]
        for name in names:
            cell = "-"
            if against := others.get(name):
                cell = "{value:.2f} ({low:.2f} to {high:.2f})".format(**against)
                cell = f"**{cell}**" if apart(against) else cell
            row.append(cell)
        rows.append(row)
    return table(rows, ["solver", "NFE", "disturbance", *names])


def verdict(records: list[Record]) -> str:
    """Return where gravity stands, model by model, in words that the intervals decide."""
    found = duels(records)
    lines = []
    for name in sorted({name for _, others in found for name in others}):
        better, worse, undecided = [], [], 0
        for own, others in found:
            if (against := others.get(name)) is None:
                continue
            if not apart(against):
                undecided += 1
                continue
            (better if against["high"] < 1 else worse).append(said(own))
        parts = [
            f"{kind} at {'; '.join(places)}"
            for kind, places in (("Better", better), ("Worse", worse))
            if places
        ]
        parts += [f"Undecided: {undecided} of {undecided + len(better) + len(worse)} settings"]
        lines.append(f"- Against {name}. {'. '.join(parts)}.")
    return "\n".join(lines)


def said(record: Record) -> str:
    """Return a record's setting in words."""
    solver, nfe = walk(record)
    hurt = disturbance(record["setting"])
    return f"{solver} {nfe}, {hurt}" if hurt else f"{solver} {nfe}"


_DIFFERENCES = """\
The models differ in more than the kernel: PFGM++ has D = 128, tanh and exp `t_max = 40,000`, flow
starts at level 160. exp-abm3 walks the grid in each model's config.json (`zoo tune`, at 20 steps,
of gravity, Gaussian and flow; gravity's has more levels below 0.3 since, exp, tanh and PFGM++ have
what it was before), fewer evaluations the same grid interpolated; heun and euler walk EDM's.
"""


def write_page(found: Record, docs: Path) -> None:
    """Write comparison.md, comparison-nfe.png and comparison-robustness.png into `docs`."""
    outcomes = [*found["outcomes"].values()]
    records, seeds = pooled(outcomes), sorted({o["seed"] for o in outcomes})
    draw_evaluations(records, docs / "comparison-nfe.png")
    draw_robustness(records, docs / "comparison-robustness.png")
    page = f"""# The shipped models side by side

Same data (Fashion-MNIST), same network, same start and budget of images, another kernel: how near
do {found["samples"]:,} samples a seed (seed {", ".join(map(str, seeds))}) come to the test images?
{unfinished(records)}
Written by `python benchmarks/comparison.py`, which measures what is not yet in `comparison.json`;
another number of samples (`-n`) starts anew.

{_DIFFERENCES}
Distances are Frechet distances on *garment features*, the penultimate layer of a small classifier
that ships with fieldzoo. They are no FID and are to be compared with one another only, at one
number of samples: fewer samples give larger distances. ± is half of a 95 % interval, by
Student's t over seeds.
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
of the network is rounded to 2^bits - 1 evenly spaced values. Rounding is one draw for each model
and number of bits: that 6 bits may do more harm than 5 shows how much hangs on what it hits.

{robustness(records)}

![distance under disturbances](comparison-robustness.png)

## Where gravity wins, and where it does not

Gravity's distance over another model's, below 1 where gravity is nearer to the data: geometric mean
over seeds. Models start a seed from the same points, but for the law of their radii, so that the
ratio within a seed is known better than the distances are. In bold where the 95 % interval leaves
out 1, as one in twenty does by chance.

{ratios(records)}

{verdict(records)}
"""
    beside = docs / ".comparison.md.part"
    beside.write_text(page, encoding="utf-8")
    beside.replace(docs / "comparison.md")

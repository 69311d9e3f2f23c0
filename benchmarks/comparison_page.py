"""The page of the comparison: tables, plots and verdicts from docs/comparison.json."""

from __future__ import annotations

from pathlib import Path

from comparison_plots import draw_evaluations, draw_robustness
from comparison_records import Record, duels, perturbation, plain, pooled, short, solver_and_nfe
from tabulate import tabulate

FULL = 35  # evaluations, of the largest setting


def shown(figure: Record) -> str:
    """Return the value, and half of the interval if there is one."""
    places = 0 if figure["value"] >= 100 else 1 if figure["value"] >= 10 else 2
    half = (figure["high"] - figure["low"]) / 2
    return f"{figure['value']:.{places}f}" + (f" ± {half:.{places}f}" if half else "")


def table(rows: list[list[str]], headers: list[str]) -> str:
    """Return a table in Markdown."""
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def against_evaluations(records: list[Record]) -> str:
    """Return the Frechet distance by solver and evaluations, one column per model."""
    names = sorted({r["model"] for r in records})
    cells = {
        (*solver_and_nfe(r), r["model"]): shown(r["metrics"]["frechet"]) for r in plain(records)
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
        where = "{}, {}".format(*solver_and_nfe(best))
        rows.append([short(model), where, *(shown(best["metrics"][n]) for n in names)])
    if training:
        cells = (f"{training[n]:.3g}" for n in names)
        rows.append(["training images", "", *cells])
    return table(rows, ["model", "solver, NFE", *names])


def robustness(records: list[Record]) -> str:
    """Return the Frechet distance under each perturbation, one column per model."""
    names = sorted({r["model"] for r in records})
    base = {solver_and_nfe(r) for r in records if perturbation(r["setting"])}
    rows: dict[tuple[str, int, str], dict[str, str]] = {}
    for record in records:
        if solver_and_nfe(record) in base:
            where = (*solver_and_nfe(record), perturbation(record["setting"]))
            rows.setdefault(where, {})[record["model"]] = shown(record["metrics"]["frechet"])
    body = [
        [solver, str(nfe), label or "none", *(rows[solver, nfe, label].get(n, "-") for n in names)]
        for solver, nfe, label in sorted(rows)
    ]
    return table(body, ["solver", "NFE", "perturbation", *map(short, names)])


def unfinished(records: list[Record]) -> str:
    """Return what has not been measured yet, in a sentence; "" where all has been."""
    most = max(r["setting"]["nfe"] for r in plain(records))
    missing = [f"more than {most} evaluations"] if most < FULL else []
    missing += [] if any("noise" in perturbation(r["setting"]) for r in records) else ["noise"]
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
        solver, nfe = solver_and_nfe(own)
        row = [solver, str(nfe), perturbation(own["setting"]) or "none"]
        for name in names:
            cell = "-"
            if against := others.get(name):
                cell = "{value:.2f} ({low:.2f} to {high:.2f})".format(**against)
                cell = f"**{cell}**" if apart(against) else cell
            row.append(cell)
        rows.append(row)
    return table(rows, ["solver", "NFE", "perturbation", *names])


def verdict(records: list[Record]) -> str:
    """Return at which settings gravity is better or worse than each model, by the intervals."""
    found = duels(records)
    lines = []
    for name in sorted({name for _, others in found for name in others}):
        better: list[str] = []
        worse: list[str] = []
        undecided = 0
        for own, others in found:
            if (against := others.get(name)) is None:
                continue
            if not apart(against):
                undecided += 1
                continue
            (better if against["high"] < 1 else worse).append(describe(own))
        parts = [
            f"{kind} at {'; '.join(places)}"
            for kind, places in (("Better", better), ("Worse", worse))
            if places
        ]
        parts += [f"Undecided: {undecided} of {undecided + len(better) + len(worse)} settings"]
        lines.append(f"- Against {name}. {'. '.join(parts)}.")
    return "\n".join(lines)


def describe(record: Record) -> str:
    """Return a record's setting in words."""
    solver, nfe = solver_and_nfe(record)
    perturbed = perturbation(record["setting"])
    return f"{solver} {nfe}, {perturbed}" if perturbed else f"{solver} {nfe}"


_DIFFERENCES = """\
The models differ in more than the kernel: PFGM++ has D = 128, tanh and exp `t_max = 40,000`, flow
starts at level 160. exp-abm3 uses the grid in each model's config.json. `zoo tune` found it at 20
steps for gravity, Gaussian and flow; exp, tanh and PFGM++ have that of gravity. Since then the grid
of gravity has got more levels below 0.3. With fewer evaluations the same grid is interpolated. heun
and euler use EDM's grid.
"""


def write_page(found: Record, docs: Path) -> None:
    """Write comparison.md, comparison-nfe.png and comparison-robustness.png into `docs`."""
    outcomes = [*found["outcomes"].values()]
    records = pooled(outcomes)
    listed = ", ".join(map(str, sorted({o["seed"] for o in outcomes})))
    draw_evaluations(records, docs / "comparison-nfe.png")
    draw_robustness(records, docs / "comparison-robustness.png")
    page = f"""# The shipped models side by side

The same data (Fashion-MNIST), network, initial weights and budget of images, but other kernels: how
close to the test images are {found["samples"]:,} samples per seed (seed {listed})?
{unfinished(records)}
Written by `python benchmarks/comparison.py`, which measures the outcomes that `comparison.json`
lacks; another number of samples (`-n`) discards all of them. The samples are those of an earlier
generator: a seed draws other ones of the same distribution today.

{_DIFFERENCES}
Distances are Frechet distances on *garment features*, the penultimate layer of a small classifier
that ships with fieldzoo. They are not FID. Compare them only with one another, at the same
number of samples: fewer samples give larger distances. ± is half of a 95 % interval, by
Student's t over seeds.
It covers the drawing of samples, not training: another training seed would change every figure, and
one model per kernel does not show by how much.

## Distance against evaluations

![distance against evaluations](comparison-nfe.png)

{against_evaluations(records)}

## Each model at its best of these settings

{best_settings(records, found["training_images"])}

The last row has the figures of as many training images: a reference point, not a bound.

## Robustness

Noise: after each step but the last, `amount x sigma(t) x N(0, I)` is added to the state, where
sigma(t) is the kernel's own level (median radius over sqrt d). Bits: every matrix and convolution
of the network is rounded to 2^bits - 1 evenly spaced values. There is one rounding per model and
number of bits, so its effect is partly chance: 6 bits can do more harm than 5.

{robustness(records)}

![distance under perturbations](comparison-robustness.png)

## Where gravity wins, and where it does not

Gravity's distance over another model's, geometric mean over seeds; below 1 gravity is closer to the
data. With one seed, all models start from the same points up to the radii, so the ratio within a
seed is more precise than the distances. Bold: the 95 % interval excludes 1, which happens by chance
in one of twenty cases.

{ratios(records)}

{verdict(records)}
"""
    part = docs / ".comparison.md.part"
    part.write_text(page, encoding="utf-8")
    part.replace(docs / "comparison.md")

"""The page of the comparison: tables, plots and verdicts from docs/comparison.json."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from comparison_plots import draw_evaluations, draw_robustness
from comparison_records import (
    KERNELS,
    Record,
    duels,
    perturbation,
    plain,
    pooled,
    present,
    ratio,
    solver_and_nfe,
)
from tabulate import tabulate

# Where the question of gravity and Gaussian is answered: the default of the shipped models.
DEFAULT = ("exp-abm3", 20)


def shown(figure: Record) -> str:
    """Return the value, and half of the interval if there is one."""
    places = 0 if figure["value"] >= 100 else 1 if figure["value"] >= 10 else 2
    half = (figure["high"] - figure["low"]) / 2
    return f"{figure['value']:.{places}f}" + (f" ± {half:.{places}f}" if half else "")


def table(rows: list[list[str]], headers: list[str]) -> str:
    """Return a table in Markdown."""
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def against_evaluations(records: list[Record]) -> str:
    """Return the Frechet distance by solver and evaluations, one column per kernel."""
    kernels = present(records)
    cells = {
        (*solver_and_nfe(r), r["kernel"]): shown(r["metrics"]["frechet"]) for r in plain(records)
    }
    rows = [
        [solver, str(nfe), *(cells.get((solver, nfe, kernel), "-") for kernel in kernels)]
        for solver, nfe in dict.fromkeys((s, n) for s, n, _ in cells)
    ]
    return table(rows, ["solver", "NFE", *kernels])


def best_settings(records: list[Record], training: dict[str, float]) -> str:
    """Return every figure of each kernel at its own best setting."""
    names = ("frechet", "kid", "precision", "recall", "density", "coverage")
    rows = []
    for kernel in present(records):
        best = min(
            (r for r in plain(records) if r["kernel"] == kernel),
            key=lambda r: r["metrics"]["frechet"]["value"],
        )
        where = "{}, {}".format(*solver_and_nfe(best))
        rows.append([kernel, where, *(shown(best["metrics"][n]) for n in names)])
    if training:
        rows.append(["training images", "", *(f"{training[n]:.3g}" for n in names)])
    return table(rows, ["kernel", "solver, NFE", *names])


def robustness(records: list[Record]) -> str:
    """Return the Frechet distance under each perturbation, one column per kernel."""
    kernels = present(records)
    base = {solver_and_nfe(r) for r in records if perturbation(r["setting"])}
    rows: dict[tuple[str, int, str], dict[str, str]] = {}
    for record in records:
        if solver_and_nfe(record) in base:
            where = (*solver_and_nfe(record), perturbation(record["setting"]))
            rows.setdefault(where, {})[record["kernel"]] = shown(record["metrics"]["frechet"])
    body = []
    for (solver, nfe, label), row in sorted(rows.items()):
        body.append([solver, str(nfe), label or "none", *(row.get(k, "-") for k in kernels)])
    return table(body, ["solver", "NFE", "perturbation", *kernels])


def apart(against: Record) -> bool:
    """Return whether a ratio's interval leaves out 1."""
    return bool(against["low"] > 1 or against["high"] < 1)


def ratios(records: list[Record]) -> str:
    """Return gravity's distance over that of every other kernel, in bold where it is not 1."""
    found = duels(records)
    kernels = [k for k in KERNELS if any(k in others for _, others in found)]
    rows = []
    for own, others in found:
        solver, nfe = solver_and_nfe(own)
        row = [solver, str(nfe), perturbation(own["setting"]) or "none"]
        for kernel in kernels:
            cell = "-"
            if against := others.get(kernel):
                cell = "{value:.2f} ({low:.2f} to {high:.2f})".format(**against)
                cell = f"**{cell}**" if apart(against) else cell
            row.append(cell)
        rows.append(row)
    return table(rows, ["solver", "NFE", "perturbation", *kernels])


def verdict(records: list[Record]) -> str:
    """Return in how many settings gravity is better or worse than each kernel, and in which."""
    lines = []
    for kernel in KERNELS:
        found = [(own, others[kernel]) for own, others in duels(records) if kernel in others]
        if not found:
            continue
        better = [describe(own) for own, against in found if against["high"] < 1]
        worse = [describe(own) for own, against in found if against["low"] > 1]
        parts = [
            f"{kind} at {'; '.join(places)}"
            for kind, places in (("Better", better), ("Worse", worse))
            if places
        ]
        undecided = len(found) - len(better) - len(worse)
        parts += [f"Undecided: {undecided} of {len(found)} settings"]
        lines.append(f"- Against {kernel}. {'. '.join(parts)}.")
    return "\n".join(lines)


def describe(record: Record) -> str:
    """Return a record's setting in words."""
    solver, nfe = solver_and_nfe(record)
    perturbed = perturbation(record["setting"])
    return f"{solver} {nfe}, {perturbed}" if perturbed else f"{solver} {nfe}"


def answer(records: list[Record]) -> str:
    """Return whether gravity is better than Gaussian: three sentences."""
    at = {
        r["kernel"]: r
        for r in plain(records)
        if solver_and_nfe(r) == DEFAULT and r["kernel"] in ("gravity", "gaussian")
    }
    against = ratio(at["gravity"], at["gaussian"]) if len(at) == 2 else None
    if against is None:
        return "There are not two trainings of both yet."
    said = "these trainings do not tell them apart"
    if apart(against):
        said = "gravity is better there" if against["high"] < 1 else "gravity is worse there"
    numbers = "{value:.2f} ({low:.2f} to {high:.2f})".format(**against)
    pairs = len(at["gravity"]["metrics"]["frechet"]["by_seed"])
    found = [others["gaussian"] for _, others in duels(records) if "gaussian" in others]
    better, worse = sum(r["high"] < 1 for r in found), sum(r["low"] > 1 for r in found)
    return (
        f"With {DEFAULT[0]} in {DEFAULT[1]} evaluations the distance of gravity is {numbers} times "
        f"that of Gaussian, by 95 % over {pairs} pairs of trainings: {said}. "
        f"Over all {len(found)} settings of this page the interval is below 1 in {better}, above 1 "
        f"in {worse} and has 1 inside in {len(found) - better - worse}. "
        "The answer is that of one small network, one short budget and one set of images, and "
        "says nothing of others."
    )


def limited(records: list[Record]) -> str:
    """Return a sentence where more evaluations do not help; "" where they do."""
    solver = DEFAULT[0]
    by_nfe = [
        r["metrics"]["frechet"]["value"]
        for r in plain(records)
        if r["setting"]["solver"] == solver and r["kernel"] == "gravity"
    ]
    if len(by_nfe) < 2 or by_nfe[-1] < by_nfe[0]:
        return ""
    return (
        f"\nWith {solver} distances rise with evaluations: what limits these samples is not the "
        "solver but\nthe network, which a longer training would change.\n"
    )


def cost(trainings: dict[str, Record]) -> str:
    """Return what a training took, of those that one process trained from its start to its end."""
    seconds = [t["cpu_seconds"] for t in trainings.values() if t["whole"]]
    if not seconds:
        return ""
    low, high = (f"{end(seconds) / 60:.1f}" for end in (min, max))
    took = low if low == high else f"{low} to {high}"
    return f" ({took} minutes of one core that others used too)"


def write_page(found: Record, docs: Path) -> None:
    """Write comparison.md, comparison-nfe.png and comparison-robustness.png into `docs`."""
    outcomes = [*found["outcomes"].values()]
    records = pooled(outcomes)
    seeds = {k: len({o["seed"] for o in outcomes if o["kernel"] == k}) for k in present(records)}
    numbers = ", ".join(f"{kernel} {count}" for kernel, count in seeds.items())
    if len({*seeds.values()}) == 1:
        numbers = f"{next(iter(seeds.values()))} of each kernel"
    draw_evaluations(records, docs / "comparison-nfe.png")
    draw_robustness(records, docs / "comparison-robustness.png")
    page = f"""# Is gravity better than Gaussian?

{fill(answer(records), 100)}

Every training is independent: a `unet` of width 16, first weights by its own seed, Fashion-MNIST,
{found["images"]:,} images in batches of 128{cost(found["trainings"])}, and {found["samples"]:,}
samples in each setting. Trainings: {numbers}. Those of one seed share the order of the data, the
first weights and the seed of the samples, so that their ratio is that of the kernels. The kernels
have the options of the shipped models: PFGM++ has D = 128, tanh and exp `t_max = 40,000`; flow
starts at level 160. All solvers take their default grids.

`python benchmarks/comparison.py RUNS` trains and measures what `comparison.json` lacks, and writes
this page. Longer trainings of a larger network have smaller distances: those of the shipped models
stand in their cards.

Distances are Frechet distances on *garment features*, the penultimate layer of a small classifier
that ships with fieldzoo. They are not FID. Compare them only with one another, at the same number
of samples: fewer samples give larger distances. ± is half of a 95 % interval over trainings, by
Student's t: the chance of first weights, training and samples is in it.

## Distance against evaluations

![distance against evaluations](comparison-nfe.png)

{against_evaluations(records)}
{limited(records)}
## Each kernel at its best of these settings

{best_settings(records, found["training_images"])}

The last row has the figures of as many training images: a reference point, not a bound.

## Robustness

Noise: after each step but the last, `amount x sigma(t) x N(0, I)` is added to the state, where
sigma(t) is the kernel's own level (median radius over sqrt d). Bits: every matrix and convolution
of the network is rounded to 2^bits - 1 evenly spaced values.

{robustness(records)}

![distance under perturbations](comparison-robustness.png)

## Where gravity wins, and where it does not

Gravity's distance over another kernel's, geometric mean over pairs of trainings of one seed; below
1 gravity is closer to the data. Bold: the 95 % interval excludes 1, which happens by chance in one
of twenty cases. The rows share their trainings, so that they are not independent of one another.

{ratios(records)}

{verdict(records)}
"""
    part = docs / ".comparison.md.part"
    part.write_text(page, encoding="utf-8")
    part.replace(docs / "comparison.md")

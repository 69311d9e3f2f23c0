"""The page on heavy tails: docs/heavy-tails.md and .png from docs/heavy-tails.json."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from tabulate import tabulate

import zoo
from zoo.evaluation.intervals import Estimate, from_seeds
from zoo.plotting.style import encoded, new_figure, rendered, tidy

Results = dict[str, Any]
# The candidate that is the truth itself.
OTHER = "other rows"
TITLES = {
    "student-2": "Student t, 3 degrees, d = 2 (`toy:student`)",
    "student-20": "Student t, 3 degrees, d = 20 (`toy:student?d=20`)",
    "copula-10": "Copula of Student columns with 3, 6 and 12 degrees, d = 10 (`toy:copula?d=10`)",
    "stable-2": "Isotropic stable law of index 1.7, d = 2 (`toy:alpha-stable`)",
    "returns": "Daily returns of two share indices, 1999 to 2018 (package arch), d = 2",
}
# Figures shown, their titles, and whether they are relative errors.
FIGURES = {
    "length_q99": ("99 %", True),
    "length_q99.9": ("99.9 %", True),
    "length_cvar": ("CVaR", True),
    "length_hill": ("1/Hill", False),
    "length_wasserstein": ("W1", False),
    "length_ks": ("KS", False),
    "column_q99.9": ("columns' 99.9 %", True),
    "column_ks": ("columns' KS", False),
}
DECISIVE, ALLOWED, WHOLE = "length_q99.9", 0.10, "length_wasserstein"
# Kernels whose noise has a heavy tail.
HEAVY = ("gravity", "pfgmpp")
HEAD = """# Heavy tails

Gaussian noise has a prior with a light tail, and a smooth map keeps it so. A Student kernel with D
degrees of freedom (`pfgmpp`; `gravity` is D = 1) starts from a tail of index D. Does it help where
the data have a heavy tail? And does it help more than what others do: a transform of the data that
takes the tail away, and back (a soft logarithm, normal scores of ranks), or a Student prior for a
Gaussian kernel?

t-EDM with ν is the kernel `pfgmpp` with D = ν and t = σ√ν: the density of x_t is proportional to
(r² + νσ²)^(-(d+ν)/2) ([arXiv:2410.14171](https://arxiv.org/abs/2410.14171)). So it stands here as
`pfgmpp`; a test holds the sentence. `StudentTEDMNoiseScheduler` of NVIDIA PhysicsNeMo 2.2 draws the
same noise, for whole ν above 2, one chi-square per sample; it is not run here, since the package
needs others of NVIDIA to be imported.

Written by `python benchmarks/heavy_tails.py`, and with `--page` from
[heavy-tails.json](heavy-tails.json) again.
"""
PICTURE = """![quantiles of the length over those of the truth](heavy-tails.png)

Quantiles of the length over those of the truth, mean over seeds: 1 is right, below 1 the tail is
cut off.
"""
NOTHING = """**Nothing is measured yet**: this page says how it will be; nothing follows from it.
"""


def facts(train: int, drawn: int, truth: int, rows: int) -> Results:
    """Return how and where the runs are made."""
    return {
        "train": train,
        "drawn": drawn,
        "truth": truth,
        "rows": rows,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": numpy.__version__,
            "fieldzoo": zoo.__version__,
        },
    }


def runs_of(found: Results, data: str) -> dict[str, list[Results]]:
    """Return the runs on a data set by candidate, in the order in which they were first made."""
    by_name: dict[str, list[Results]] = {}
    for record in found["runs"]:
        if record["data"] == data:
            by_name.setdefault(record["candidate"], []).append(record)
    return by_name


def estimate(runs: Sequence[Results], figure: str) -> Estimate:
    """Return mean and Student's interval over seeds; one seed has no interval."""
    values = [record["figures"][figure] for record in runs]
    if len(values) > 1:
        return from_seeds(values)
    return Estimate(values[0], -float("inf"), float("inf"), tuple(values))


def cell(found: Estimate, relative: bool) -> str:
    """Return "+3.1 ± 1.2 %", or "0.012 ± 0.003"."""
    half = (found.high - found.low) / 2
    spread = f" ± {100 * half:.1f}" if relative else f" ± {half:.3f}"
    spread = spread if half < float("inf") else ""
    return f"{100 * found.value:+.1f}{spread} %" if relative else f"{found.value:.3f}{spread}"


def table(by_name: dict[str, list[Results]]) -> str:
    """Return the table of a data set."""
    rows = []
    for name, runs in by_name.items():
        chosen = sorted({str(r["options"]["D"]) for r in runs if "auto" in name})
        label = f"{name} ({', '.join(chosen)})" if chosen else name
        cells = [cell(estimate(runs, f), relative) for f, (_, relative) in FIGURES.items()]
        rows.append([label, *cells])
    headers = ["", *(title for title, _ in FIGURES.values())]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def verdict(by_name: dict[str, list[Results]]) -> Iterator[str]:
    """Yield what the table comes to, in sentences."""
    candidates = {n: estimate(r, DECISIVE) for n, r in by_name.items() if n != OTHER}
    if not candidates:
        return
    groups: dict[str, list[str]] = {"within": [], "too light": [], "too heavy": []}
    for name, found in candidates.items():
        inside = abs(found.value) <= ALLOWED
        side = "within" if inside else "too light" if found.value < 0 else "too heavy"
        groups[side].append(name)
    yield (
        "The 99.9 % quantile of the length is, in the mean over seeds, "
        + "; ".join(
            f"{what} {quoted(names)}"
            for what, names in (
                ("right within 10 % under", groups["within"]),
                ("more than 10 % too small under", groups["too light"]),
                ("more than 10 % too large under", groups["too heavy"]),
            )
            if names
        )
        + "."
    )
    distances = {n: estimate(by_name[n], WHOLE) for n in candidates}
    best = min(distances, key=lambda n: distances[n].value)
    limit = distances[best].high
    ties = [n for n, found in distances.items() if n != best and found.low <= limit]
    told = f"; not told from it by their intervals: {quoted(ties)}" if ties else ""
    yield f"The least Wasserstein distance of lengths is that of `{best}`{told}."


def quoted(names: Sequence[str]) -> str:
    """Return names in a row; some have a comma."""
    return ", ".join(f"`{name}`" for name in names)


def in_short(found: Results) -> str:
    """Return for each data set whether kernels of heavy tails are nearest, by the lengths' W1."""
    lines = []
    for data, title in TITLES.items():
        by_name = runs_of(found, data)
        if min((len(runs) for runs in by_name.values()), default=0) < ENOUGH:
            continue
        all_of = {n: estimate(runs, WHOLE) for n, runs in by_name.items() if n != OTHER}
        heavy, others = (
            min(
                (n for n in all_of if n.startswith(HEAVY) is is_heavy),
                key=lambda n: all_of[n].value,
            )
            for is_heavy in (True, False)
        )
        ours, theirs = all_of[heavy], all_of[others]
        told = "the intervals overlap"
        if ours.high < theirs.low:
            told = "kernels of heavy tails win"
        elif theirs.high < ours.low:
            told = "kernels of heavy tails lose"
        figures = f"`{heavy}` {cell(ours, False)}, `{others}` {cell(theirs, False)}"
        lines.append(f"- {title}: {figures}: {told}.")
    if not lines:
        return ""
    head = (
        "The Wasserstein distance of lengths, over the mean length, of the nearest kernel of\n"
        "heavy tails and of the nearest other candidate:\n"
    )
    return "\n".join(["## In short", "", head, *lines, ""])


# Seeds of every candidate, below which nothing is concluded.
ENOUGH = 5
UNFINISHED = (
    "**Not finished**: candidates or seeds are missing, so nothing follows from it yet; "
    "`python benchmarks/heavy_tails.py` goes on."
)


def written(found: Results) -> str:
    """Return the page."""
    f, dates = found["facts"], sorted({r["date"] for r in found["runs"]})
    if not dates:
        return "\n".join([HEAD, NOTHING, how(f)])
    parts = [HEAD, PICTURE, in_short(found), how(f), summary(found)]
    for data, title in TITLES.items():
        by_name = runs_of(found, data)
        if by_name:
            seeds = min(len(runs) for runs in by_name.values())
            least = f"{seeds} seed{'s' if seeds > 1 else ''} or more of each."
            head = f"## {title}\n\n{least}\n\n{table(by_name)}"
            told = verdict(by_name) if seeds >= ENOUGH else [UNFINISHED]
            parts.append(head + "\n\n" + "\n".join(told) + "\n")
    versions = ", ".join(f"{name} {version}" for name, version in f["versions"].items())
    when = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    parts.append(f"Measured {when}; {f['machine']}, one thread; {versions}.\n")
    return "\n".join(parts)


def how(f: Results) -> str:
    """Return how it was measured."""
    return f"""## How

Every candidate is `zoo.fit` on {f["train"]:,} rows (half of the returns), with the same network
(an `mlp` of width 64 with 3 blocks), batch and {f["rows"]:,} rows of training for all, and its own
choices otherwise. Those called "columns" have the network's option
[`columns`](training.md#what-each-column-says-by-itself), which `zoo.fit` sets by itself where t
tells the level, as under `gaussian` and `flow`; the others have not. {f["drawn"]:,} rows are drawn
and compared with {f["truth"]:,} of the truth (the other half of the returns). A seed is that of the
data, of the weights and of the noise: intervals are Student's t over seeds, 95 %, and cover
retraining and other data. Of the returns they cover other splits of the same 5,030 rows, no other
years, and two or three rows of a half lie beyond its 99.9 % quantile. "Other rows" are as
many more of the truth itself (of the returns: those trained on): as good as can be measured. The
figures are those of
[`zoo eval --metrics tails`](evaluation.md#tails): relative errors of quantiles and of the mean of
the largest 1 % of the length, error of 1 / Hill's index, Wasserstein-1 over the mean length,
Kolmogorov-Smirnov.
"""


def summary(found: Results) -> str:
    """Return for each candidate how its decisive figure is on each data set."""
    shown = [data for data in TITLES if runs_of(found, data)]
    names = list(dict.fromkeys(r["candidate"] for r in found["runs"]))
    rows = []
    for name in names:
        cells = []
        for data in shown:
            runs = runs_of(found, data).get(name)
            cells.append(cell(estimate(runs, DECISIVE), True) if runs else "")
        rows.append([name, *cells])
    body = tabulate(rows, ["", *shown], tablefmt="github", disable_numparse=True)
    return f"## Relative error of the 99.9 % quantile of the length\n\n{body}\n"


def picture(found: Results, quantiles: Sequence[float], file: Path) -> None:
    """Draw the quantiles of the length over those of the truth."""
    shown = [data for data in TITLES if runs_of(found, data)]
    figure = new_figure(3.1 * len(shown), 3.6)
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    names = list(dict.fromkeys(r["candidate"] for r in found["runs"] if r["candidate"] != OTHER))
    styles = ("-", "--", ":")
    colours = [f"C{i}" for i in range(10)]
    lines: dict[str, Any] = {}
    for axis, data in zip(axes, shown, strict=True):
        axis.axhline(1, color="0.6", lw=0.8)
        for name, runs in runs_of(found, data).items():
            if name not in names:
                continue
            i = names.index(name)
            ratios = [numpy.divide(r["length_quantiles"], r["truth_quantiles"]) for r in runs]
            ratio = numpy.mean(ratios, axis=0)
            places = range(len(quantiles))
            (lines[name],) = axis.plot(
                places, ratio, styles[i // 5 % 3], marker="o", ms=2.5, lw=1.2, color=colours[i % 10]
            )
        axis.set_yscale("log")
        axis.set_ylim(0.1, 10)
        axis.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
        axis.minorticks_off()
        axis.set_xticks(range(len(quantiles)), [f"{100 * q:g}" for q in quantiles])
        tidy(axis, data, "quantile of the length, %", "over that of the truth")
    named = [name for name in names if name in lines]
    handles = [lines[name] for name in named]
    figure.legend(handles, named, loc="outside lower center", ncols=5, fontsize=7)
    file.write_bytes(encoded(rendered(figure)))


def write(file: Path, quantiles: Sequence[float]) -> None:
    """Write the page and, if anything is measured, the picture beside a results file."""
    found = json.loads(file.read_text())
    file.with_suffix(".md").write_text(written(found))
    if found["runs"]:
        picture(found, quantiles, file.with_suffix(".png"))

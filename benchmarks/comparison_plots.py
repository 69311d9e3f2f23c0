"""The plots of the comparison."""

from __future__ import annotations

from pathlib import Path

from comparison_records import Record, perturbation, plain, present
from matplotlib.figure import Figure

LABEL = "Frechet distance, garment features"


def draw_evaluations(records: list[Record], path: Path) -> None:
    """Draw the distance against evaluations, a panel per solver and a line per kernel."""
    shown = plain(records)
    solvers = sorted({r["setting"]["solver"] for r in shown})
    figure = Figure(figsize=(4 * len(solvers), 3.6), layout="constrained")
    panels = figure.subplots(1, len(solvers), sharey=True, squeeze=False)[0]
    values = [r["metrics"]["frechet"]["value"] for r in shown]
    for axes, solver in zip(panels, solvers, strict=True):
        here = [r for r in shown if r["setting"]["solver"] == solver]
        for i, kernel in enumerate(present(here)):
            found = [r for r in here if r["kernel"] == kernel]
            figures = [r["metrics"]["frechet"] for r in found]
            axes.errorbar(
                # Side by side, so that no interval hides another.
                [r["setting"]["nfe"] * 1.015 ** (i - 2.5) for r in found],
                [f["value"] for f in figures],
                yerr=[
                    [max(0.0, f["value"] - f["low"]) for f in figures],
                    [f["high"] - f["value"] for f in figures],
                ],
                marker="o",
                markersize=4,
                capsize=3,
                label=kernel,
            )
        axes.set(title=solver, xlabel="evaluations", xscale="log", yscale="log")
        axes.set_xticks(sorted({r["setting"]["nfe"] for r in here}))
        axes.set_yticks([10, 20, 50, 100, 200, 500])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.set_ylim(0.7 * min(values), 1.4 * max(values))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(LABEL)
    panels[0].legend()
    figure.savefig(path, dpi=110)


def draw_robustness(records: list[Record], path: Path) -> None:
    """Draw the distance under each perturbation, a group of bars per perturbation."""
    perturbed = [r for r in records if perturbation(r["setting"])]
    labels = sorted({perturbation(r["setting"]) for r in perturbed}, key=lambda x: ("bits" in x, x))
    names = present(perturbed)
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for i, name in enumerate(names):
        found = {
            perturbation(r["setting"]): r["metrics"]["frechet"]
            for r in perturbed
            if r["kernel"] == name
        }
        places = [j + 0.8 * (i + 0.5) / len(names) - 0.4 for j in range(len(labels))]
        values = [found[x]["value"] if x in found else 0.0 for x in labels]
        halves = [(found[x]["high"] - found[x]["low"]) / 2 if x in found else 0.0 for x in labels]
        axes.bar(places, values, 0.8 / len(names), yerr=halves, capsize=3, label=name)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylabel(LABEL)
    axes.legend()
    figure.savefig(path, dpi=110)

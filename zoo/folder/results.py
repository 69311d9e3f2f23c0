"""What config.json keeps of an evaluation, as a card shows it: model-index and a table.

`training.evaluation` is a list of mappings: what was compared with what (data, split, features,
title, samples, classes, seeds, solver, steps, nfe) and "metrics", name -> [value, low, high].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from zoo.config.model import Config
from zoo.config.training import Evaluation, TrainingRecord, facts
from zoo.errors import shown

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

# Of the Hub's tasks.
TASK = "unconditional-image-generation"

TITLES = {
    "frechet": "Frechet distance",
    "kid": "kernel distance (KID's formula)",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "nearest_pixels": "median distance to the nearest training image, pixels",
    "nearest_features": "median distance to the nearest training image, features",
    "bits_per_dim": "bits per dimension, at most",
    **{
        f"{what}_{name}": f"{title}, {of}"
        for what, of in (("length", "of lengths"), ("column", "mean size over columns"))
        for name, title in (
            *((f"q{p}", f"relative error of the {p} % quantile") for p in (0.1, 1, 99, 99.9)),
            ("cvar", "relative error of the mean of the largest 1 %"),
            ("hill", "error of 1 / Hill's tail index"),
            ("wasserstein", "Wasserstein-1 distance over the mean deviation"),
            ("ks", "Kolmogorov-Smirnov statistic"),
        )
    },
    "column_ks": "Kolmogorov-Smirnov statistic, the largest of all columns",
}
# The conditions under which figures hold.
_CONDITIONS = ("features", "samples", "classes", "seeds", "solver", "steps", "nfe")


def without_solver(training: TrainingRecord, solver: str) -> TrainingRecord:
    """Return `training` without evaluations of what `solver`, or the model by default, drew."""
    kept = [e for e in training.evaluation if e.solver not in (solver, "")]
    return training.replace(evaluation=tuple(kept))


def measured(config: Config) -> tuple[Evaluation, ...]:
    """Return the figures of a model with all that they depend on, its own shape and condition."""
    condition = config.data.condition
    given = "" if condition is None else f"{condition.source} {condition}".strip()
    return tuple(
        msgspec.structs.replace(entry, shape=tuple(config.data.shape), given=shown(given))
        for entry in config.training.evaluation
    )


def _title(name: str) -> str:
    return TITLES.get(name, name.replace("_", " "))


def eval_results(training: TrainingRecord, dataset: str = "") -> list[EvalResult]:
    """Return the figures as the Hub's client writes them into a card's `model-index`.

    Args:
        training: of config.json.
        dataset: the data's id on the Hub, where it has one.
    """
    from huggingface_hub import EvalResult

    def conditions(entry: Evaluation) -> dict[str, Any]:
        known = facts(entry)
        return {key: known[key] for key in _CONDITIONS if key in known}

    return [
        EvalResult(
            task_type=TASK,
            dataset_type=dataset or entry.data,
            dataset_name=entry.data,
            dataset_split=entry.split,
            metric_type=metric,
            metric_name=f"{_title(metric)}, {entry.title}",
            metric_value=value,
            metric_args={**conditions(entry), "interval_95": [low, high]},
        )
        for entry in training.evaluation
        for metric, (value, low, high) in entry.metrics.items()
    ]


def table(training: TrainingRecord) -> list[str]:
    """Return the card's section on evaluation as lines of Markdown, none where there is none."""
    lines: list[str] = []
    for entry in training.evaluation:
        lines += [_sentence(entry), "", "| figure | value | 95 % interval |", "|---|---|---|"]
        lines += [
            f"| {_title(name)} | {value:.4g} | {low:.4g} to {high:.4g} |"
            for name, (value, low, high) in entry.metrics.items()
        ]
        lines.append("")
    return ["## Evaluation", "", *lines] if lines else []


def _sentence(entry: Evaluation) -> str:
    seeds = ", ".join(map(str, entry.seeds))
    how = f"{entry.samples:,} samples a seed (seed {seeds})" if entry.samples else "Samples"
    how += f" of {entry.classes} classes (as many of each)" if entry.classes else ""
    if entry.solver and entry.steps and entry.nfe:
        how += f" by {entry.solver}, {entry.steps} steps, {entry.nfe} evaluations"
    compared = f"compared with the {entry.split} split of {entry.data} by {entry.title}"
    shipped = " of the classifier that ships with fieldzoo, so no FID"
    compared += shipped if entry.features == "garments" else ""
    return f"{how}, {compared}."

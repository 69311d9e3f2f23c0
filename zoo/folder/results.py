"""What config.json keeps of an evaluation, as a card shows it: model-index and a table.

`training.evaluation` is a list of mappings: what was compared with what (data, split, features,
title, samples, classes, seeds, solver, steps, nfe) and "metrics", name -> [value, low, high].
"""

from __future__ import annotations

import json
from typing import Any

from zoo.config.training import TrainingRecord, facts

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
}
# The conditions under which figures hold.
_CONDITIONS = ("features", "samples", "classes", "seeds", "solver", "steps", "nfe")


def entries(training: TrainingRecord) -> list[dict[str, Any]]:
    """Return the evaluations of a model as mappings, what is not known left out."""
    return [facts(entry) for entry in training.evaluation]


def without_solver(training: TrainingRecord, solver: str) -> TrainingRecord:
    """Return `training` without evaluations of what `solver`, or the model by default, drew."""
    kept = [e for e in training.evaluation if e.solver not in (solver, "")]
    return training.replace(evaluation=tuple(kept))


def _title(name: str) -> str:
    return TITLES.get(name, name.replace("_", " "))


def _conditions(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in _CONDITIONS if key in entry}


def model_index(name: str, training: TrainingRecord, dataset: str = "") -> list[str]:
    """Return the lines of the front matter's `model-index`, none where nothing was measured.

    Args:
        name: of the model.
        training: of its config.json.
        dataset: the data's id on the Hub, where it has one.
    """
    lines: list[str] = []
    for entry in entries(training):
        lines += [
            "  - task:",
            "      type: unconditional-image-generation",
            "    dataset:",
            f"      type: {_text(dataset or entry['data'])}",
            f"      name: {_text(entry['data'])}",
            f"      split: {_text(entry['split'])}",
            "    metrics:",
        ]
        for metric, (value, low, high) in entry["metrics"].items():
            named = f"{_title(metric)}, {entry['title']}"
            facts = json.dumps(_conditions(entry))[1:-1]
            lines += [
                f"    - type: {_text(metric)}",
                f"      value: {_number(value)}",
                f"      name: {_text(named)}",
                f"      args: {{{facts}, interval_95: [{_number(low)}, {_number(high)}]}}",
            ]
    return ["model-index:", f"- name: {_text(name)}", "  results:", *lines] if lines else []


def _number(value: float) -> str:
    """Return a number that YAML reads as one: it takes 1e-05 for text, 1.0e-05 not."""
    text = json.dumps(value)
    return text if "." in text else text.replace("e", ".0e")


def _text(value: object) -> str:
    """Return text as a YAML scalar; JSON's strings are YAML's."""
    return json.dumps(str(value), ensure_ascii=False)


def table(training: TrainingRecord) -> list[str]:
    """Return the card's section on evaluation as lines of Markdown, none where there is none."""
    lines: list[str] = []
    for entry in entries(training):
        lines += [_sentence(entry), "", "| figure | value | 95 % interval |", "|---|---|---|"]
        lines += [
            f"| {_title(name)} | {value:.4g} | {low:.4g} to {high:.4g} |"
            for name, (value, low, high) in entry["metrics"].items()
        ]
        lines.append("")
    return ["## Evaluation", "", *lines] if lines else []


def _sentence(entry: dict[str, Any]) -> str:
    facts = _conditions(entry)
    seeds = ", ".join(map(str, facts.get("seeds", ())))
    how = f"{facts['samples']:,} samples a seed (seed {seeds})" if "samples" in facts else "Samples"
    how += f" of {facts['classes']} classes (as many of each)" if "classes" in facts else ""
    if {"solver", "steps", "nfe"} <= facts.keys():
        how += f" by {facts['solver']}, {facts['steps']} steps, {facts['nfe']} evaluations"
    compared = f"compared with the {entry['split']} split of {entry['data']} by {entry['title']}"
    shipped = " of the classifier that ships with fieldzoo, so no FID"
    compared += shipped if entry["features"] == "garments" else ""
    return f"{how}, {compared}."

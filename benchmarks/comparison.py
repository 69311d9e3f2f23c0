"""Every shipped Fashion-MNIST model under one protocol: writes docs/comparison.md and its plots.

    python benchmarks/comparison.py [-n 400] [--seeds 6] [--models PATTERN] [--page]

Distance against evaluations for Euler, Heun and exp-abm3, then robustness: noise after each step,
weights of few bits. Only outcomes that docs/comparison.json lacks are measured, and each is saved
as soon as it is measured. So an interrupted run can be continued, a new model or seed needs only
its own runs, and several runs with different --models can work at the same time. Another -n than
that of the file discards its outcomes. --page only writes the page and the plots. Needs
Fashion-MNIST, as `zoo train` does.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from comparison_page import write_page
from filelock import FileLock

import zoo
from zoo.evaluation import features
from zoo.evaluation.reference import open_reference
from zoo.evaluation.report import Setting, machine, versions
from zoo.evaluation.run import evaluate_setting, training_scores
from zoo.evaluation.settings import Measurement, perturbed, sweep
from zoo.models.model import FieldModel

DOCS = Path(__file__).parent.parent / "docs"
DATA = "fashion-mnist"
METRICS = ("frechet", "kid", "prdc")
SAMPLES = 400
SWEEP = {"exp-abm3": (9, 6, 20), "heun": (9, 17, 35), "euler": (9, 18, 35)}
# A one-step method for noise: a multistep method restarts after each noisy step.
NOISE = (0.1, 0.2)
NOISE_AT = ("heun", 17)
BITS = (8, 6, 5)
BITS_AT = ("exp-abm3", 9)


def models() -> dict[str, FieldModel]:
    """Return the unconditional models of the data."""
    found = {name: zoo.load(name) for name in zoo.list_models(f"*-{DATA}")}
    return {name: model for name, model in found.items() if not model.network.labels}


def settings(model: FieldModel) -> list[Setting]:
    """Return the settings under which a model is measured."""
    plain = [s for name, budgets in SWEEP.items() for s in sweep(model, [name], budgets)]
    noisy = perturbed(sweep(model, [NOISE_AT[0]], [NOISE_AT[1]]), NOISE, ())
    coarse = perturbed(sweep(model, [BITS_AT[0]], [BITS_AT[1]]), (), BITS)
    return [*plain, *noisy, *coarse]


class Task(NamedTuple):
    """One outcome to measure; its key identifies seed, model, weights, samples and setting."""

    name: str
    model: FieldModel
    setting: Setting
    seed: int
    key: str


def tasks(measurement: Measurement) -> list[Task]:
    """Return all tasks, by seed, the cheap ones first, so that all models have those."""
    found = []
    for name, model in models().items():
        assert model.config is not None
        weights = [file.sha256[:16] for file in model.config.weights.files.values()]
        for setting in settings(model):
            facts = [name, weights, measurement.samples, msgspec.to_builtins(setting)]
            part = model.solver_called(setting.solver).part
            if (
                part is not None and part.options
            ):  # the grid of the model's config is part of the key
                facts.append(msgspec.to_builtins(part.options))
            found += [
                Task(name, model, setting, seed, f"{seed} {json.dumps(facts)}")
                for seed in measurement.seeds
            ]
    return sorted(found, key=lambda t: (t.seed, t.setting.nfe, not t.setting.plain))


def facts_of(key: str) -> str:
    """Return a key without its seed."""
    return key.partition(" ")[2]


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def update(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Replace the content of the file by change(content) under a lock, and return it."""
    with FileLock(f"{path}.lock"):
        found = change(read(path))
        part = path.with_suffix(".part")
        part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    return found


def keep(path: Path, keys: set[str]) -> set[str]:
    """Drop outcomes that are in `keys` under no seed; return the keys of the others."""
    wanted = {facts_of(key) for key in keys}

    def current(found: dict[str, Any]) -> dict[str, Any]:
        outcomes = {k: v for k, v in found.get("outcomes", {}).items() if facts_of(k) in wanted}
        return found | {"outcomes": outcomes}

    return set(update(path, current)["outcomes"])


def measure(measurement: Measurement, path: Path, pattern: str) -> None:
    """Measure the missing outcomes of the models that match, and add them to the file."""
    every = tasks(measurement)
    known = keep(path, {task.key for task in every})
    missing = [t for t in every if t.key not in known and fnmatchcase(t.name, pattern)]
    if not missing:
        return
    extractor = features.build("garments", features.GREY, torch.device("cpu"))
    reference = open_reference(DATA, features.GREY, extractor)
    facts = {
        "samples": measurement.samples,
        "training_images": training_scores(measurement, reference),
        "machine": machine("cpu"),
        "versions": versions(),
    }
    for name, model, setting, seed, key in missing:
        print(name, seed, setting, flush=True)
        found = evaluate_setting(model, setting, replace(measurement, seeds=(seed,)), reference)[0]
        figures = {name: estimate.value for name, estimate in found.metrics.items()}
        where = {"model": name, "seed": seed, "setting": msgspec.to_builtins(setting)}
        entry = {key: {**where, "metrics": figures}}
        update(path, lambda old, new=entry: facts | {"outcomes": old["outcomes"] | new})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, dest="samples", help="as in the file; or start anew")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--models", default="*", help="measure only these, a shell pattern")
    parser.add_argument("--page", action="store_true", help="only write page and plots again")
    parser.add_argument("--docs", type=Path, default=DOCS)
    arguments = parser.parse_args()
    path = arguments.docs / "comparison.json"
    if not arguments.page:
        samples = arguments.samples or read(path).get("samples", SAMPLES)
        measurement = Measurement(METRICS, samples, tuple(range(arguments.seeds)))
        measure(measurement, path, arguments.models)
    write_page(read(path), arguments.docs)


if __name__ == "__main__":
    main()

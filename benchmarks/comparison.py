"""Is gravity better than Gaussian? Trains a small network under six kernels, several times each.

    python benchmarks/comparison.py RUNS [--trainings 4] [--kernels gravity,gaussian] [-n 500]
    python benchmarks/comparison.py --page

Trains what RUNS lacks, measures what docs/comparison.json lacks, and writes docs/comparison.md and
its plots; --page does the last alone. Trainings of one seed share the first weights, the order of
the data and the seed of the samples, and differ in the kernel. Each training goes on where it was
stopped, each figure is kept as soon as it is measured, and several runs with different --kernels
can work at the same time. Needs Fashion-MNIST, as `zoo train` does.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from comparison_page import write_page
from comparison_records import KERNELS
from filelock import FileLock

import zoo
from zoo.evaluation import features
from zoo.evaluation.reference import Reference, open_reference
from zoo.evaluation.report import Setting, machine, versions
from zoo.evaluation.run import evaluate_setting, training_scores
from zoo.evaluation.settings import Measurement, perturbed, sweep
from zoo.models.model import FieldModel

DOCS = Path(__file__).parent.parent / "docs"
DATA = "fashion-mnist"
SAMPLES, TRAININGS = 500, 4
METRICS = ("frechet", "kid", "prdc")
# The options of the shipped models, where tanh and exp start far enough to forget the data.
OPTIONS: dict[str, dict[str, Any]] = {
    "pfgmpp": {"D": 128},
    "tanh": {"t_max": 40_000.0},
    "exp": {"t_max": 40_000.0},
}
NETWORK = {
    "use": "unet",
    "width": 16,
    "multipliers": [1, 2],
    "blocks": 1,
    "patch": 2,
    "attention": [1],
    "sigma_data": 0.7,
    "components": 300,
    "basis": 48,
}
TRAIN = {
    "images": 96_000,
    "batch": 128,
    "optimizer": "muon",
    "lr": 1e-2,
    "betas": [0.95, 0.99],
    "warmup": 8_000,
    "ema_halflife": 6_000,
    "level_mean": -0.5,
    "precision": "bf16",
}
SWEEP = {"exp-abm3": (6, 9, 20), "heun": (17,), "euler": (18,)}
# A one-step method for noise: a multistep method restarts after each noisy step.
NOISE, NOISE_AT = (0.2,), ("heun", 17)
BITS, BITS_AT = (6, 5), ("exp-abm3", 9)


def recipe(kernel: str, seed: int) -> dict[str, Any]:
    """Return the recipe of one training."""
    return {
        "name": f"{kernel}-{seed}",
        "license": "mit",
        "data": {"use": DATA},
        "kernel": {"use": kernel, **OPTIONS.get(kernel, {})},
        "network": NETWORK,
        "solver": {"use": "exp-abm3", "steps": 20, "scale": 0.7},
        "train": TRAIN | {"seed": seed},
    }


def settings(model: FieldModel) -> list[Setting]:
    """Return the settings under which a model is measured."""
    plain = [s for name, budgets in SWEEP.items() for s in sweep(model, [name], budgets)]
    noisy = perturbed(sweep(model, [NOISE_AT[0]], [NOISE_AT[1]]), NOISE, ())
    coarse = perturbed(sweep(model, [BITS_AT[0]], [BITS_AT[1]]), (), BITS)
    return [*plain, *noisy, *coarse]


def read(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file, {} where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def update(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Replace the content of the file by change(content) under a lock, and return it."""
    with FileLock(f"{path}.lock"):
        found = change(read(path))
        part = path.with_suffix(".part")
        part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    return found


def add(table: str, key: str, entry: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """Return the content of the file with one entry more in one of its tables."""
    return old | {table: dict(sorted((old.get(table, {}) | {key: entry}).items()))}


def trained(kernel: str, seed: int, runs: Path, path: Path) -> FieldModel:
    """Return the model of a training, from RUNS where it is done."""
    folder = runs / f"{kernel}-{seed}"
    if not (folder / "model" / "config.json").is_file():
        since = time.process_time()
        resume = (folder / "checkpoint.pt").is_file()
        zoo.train(recipe(kernel, seed), folder=folder, resume=resume)
        entry = {"cpu_seconds": round(time.process_time() - since), "whole": not resume}
        update(path, partial(add, "trainings", f"{kernel} {seed}", entry))
    return zoo.load(str(folder / "model"))


def measured(
    model: FieldModel, kernel: str, seed: int, samples: int, reference: Reference, path: Path
) -> None:
    """Measure a training under the settings that the file lacks."""
    assert model.config is not None
    weights = next(iter(model.config.weights.files.values())).sha256[:16]
    for setting in settings(model):
        plain = msgspec.to_builtins(setting)
        key = f"{kernel} {seed} {json.dumps(plain, sort_keys=True)}"
        known = read(path).get("outcomes", {}).get(key)
        if known is not None and known["weights"] == weights:
            continue
        print(kernel, seed, setting, flush=True)
        measurement = Measurement(METRICS, samples, (seed,))
        found = evaluate_setting(model, setting, measurement, reference)[0]
        entry = {
            "kernel": kernel,
            "seed": seed,
            "weights": weights,
            "setting": plain,
            "metrics": {n: float(f"{e.value:.6g}") for n, e in found.metrics.items()},
        }
        update(path, partial(add, "outcomes", key, entry))


def run(runs: Path, path: Path, kernels: list[str], trainings: int, samples: int) -> None:
    """Train and measure what is missing, seed by seed."""
    budget = {"samples": samples, "images": TRAIN["images"]}
    found = read(path)
    for name, wanted in budget.items():
        if (known := found.get(name, wanted)) != wanted:
            raise SystemExit(f"{path} has figures of {known} {name}, not {wanted}; remove it first")
    extractor = features.build("garments", features.GREY, torch.device("cpu"))
    reference = open_reference(DATA, features.GREY, extractor)
    facts = budget | {
        "training_images": training_scores(Measurement(METRICS, samples, (0,)), reference),
        "machine": machine("cpu"),
        "versions": versions(),
    }
    update(path, lambda old: old | facts)
    for seed in range(trainings):
        for kernel in kernels:
            model = trained(kernel, seed, runs, path)
            measured(model, kernel, seed, samples, reference, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="?", help="folder of the trainings")
    parser.add_argument("-n", type=int, dest="samples", help="of each setting; as in the file")
    parser.add_argument("--trainings", type=int, default=TRAININGS, help="of each kernel")
    parser.add_argument("--kernels", default=",".join(KERNELS), help="train and measure only these")
    parser.add_argument("--page", action="store_true", help="only write page and plots again")
    parser.add_argument("--docs", type=Path, default=DOCS)
    arguments = parser.parse_args()
    path, kernels = arguments.docs / "comparison.json", arguments.kernels.split(",")
    if arguments.page and not path.is_file():
        parser.error(f"there is no {path}: name the folder of the trainings instead of --page")
    if not arguments.page:
        if arguments.runs is None:
            parser.error("name the folder of the trainings, or give --page")
        if unknown := {*kernels} - {*KERNELS}:
            parser.error(f"--kernels has {', '.join(sorted(unknown))}; known: {', '.join(KERNELS)}")
        samples = arguments.samples or read(path).get("samples", SAMPLES)
        run(arguments.runs, path, kernels, arguments.trainings, samples)
    write_page(read(path), arguments.docs)


if __name__ == "__main__":
    main()

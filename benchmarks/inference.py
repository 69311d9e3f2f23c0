"""Posteriors p(theta | x) from 10,000 simulations: zoo.fit, and FMPE and NPSE of sbi.

    python benchmarks/inference.py             # runs what docs/inference.json lacks, and the page
    python benchmarks/inference.py --page      # the table of docs/inference.md alone
    python benchmarks/inference.py --seeds 1 --methods zoo.fit -o /tmp/trial.json

Each method learns from the same simulations with its own defaults, on one thread, and draws from
the posterior of each of ten observations. A classifier is trained to tell its samples from those of
the exact posterior (C2ST, arXiv:2101.04653, section 2.3: five-fold cross-validated accuracy of a
multilayer perceptron; 0.5 is best). Times are seconds of the processor, training and sampling.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import math
import re
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sbi_tasks import TASKS, Array, Task
from scipy.stats import t as student
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from tabulate import tabulate

import zoo
from zoo.files import replacing

DOCS = Path(__file__).parent.parent / "docs"
RESULTS, PAGE = DOCS / "inference.json", DOCS / "inference.md"
SEEDS = 3
_START, _END = "<!-- table: python benchmarks/inference.py -->", "<!-- end of the table -->"

Sizes = dict[str, int]
SIZES: Sizes = {"simulations": 10_000, "observations": 10, "samples": 2_000}
# (task, theta, x, observations, seed, samples) -> seconds to train, to draw, samples of each.
Method = Callable[[Task, Array, Array, Array, int, int], tuple[float, float, list[Array]]]


def by_zoo(
    task: Task, theta: Array, x: Array, observed: Array, seed: int, samples: int
) -> tuple[float, float, list[Array]]:
    """Fit theta given x with the defaults of zoo.fit."""
    del task
    since = time.process_time()
    model = zoo.fit(theta, condition=x, seed=seed, progress=False)
    trained = time.process_time()
    drawn = [model.sample(samples, seed=seed, condition=x_o).double().numpy() for x_o in observed]
    return trained - since, time.process_time() - trained, drawn


def by_sbi(name: str) -> Method:
    """Return the method of that name in sbi, with its defaults."""

    def method(
        task: Task, theta: Array, x: Array, observed: Array, seed: int, samples: int
    ) -> tuple[float, float, list[Array]]:
        import sbi.inference

        logging.disable(logging.WARNING)
        torch.manual_seed(seed)
        if task.box is None:
            zero = torch.zeros(task.dim)
            prior: Any = torch.distributions.MultivariateNormal(
                zero, task.scale**2 * torch.eye(task.dim)
            )
        else:
            from sbi.utils import BoxUniform

            ends = task.box * torch.ones(task.dim)
            prior = BoxUniform(-ends, ends)
        since = time.process_time()
        inference = getattr(sbi.inference, name)(prior, show_progress_bars=False)
        inference.append_simulations(*(torch.from_numpy(v).float() for v in (theta, x))).train()
        posterior = inference.build_posterior()
        trained = time.process_time()
        drawn = [
            posterior.sample(
                (samples,), x=torch.from_numpy(x_o).float(), show_progress_bars=False
            ).numpy()
            for x_o in observed
        ]
        return trained - since, time.process_time() - trained, drawn

    return method


METHODS: dict[str, Method] = {"zoo.fit": by_zoo, "FMPE": by_sbi("FMPE"), "NPSE": by_sbi("NPSE")}


def c2st(drawn: Array, reference: Array, seed: int) -> float:
    """Return how often a classifier tells samples (n, d) from others (n, d): 0.5 to 1."""
    mean, std = reference.mean(axis=0), reference.std(axis=0)
    rows = (np.concatenate([drawn, reference]) - mean) / std
    target = np.repeat([0, 1], [len(drawn), len(reference)])
    width = 10 * rows.shape[1]
    classifier = MLPClassifier((width, width), max_iter=1_000, random_state=seed)
    folds = KFold(5, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(cross_val_score(classifier, rows, target, cv=folds).mean())


def measure(task: Task, name: str, seed: int, size: Sizes) -> dict[str, Any]:
    """Return times and C2ST of every observation under one method, for one set of simulations."""
    chance = np.random.default_rng(1_000 + seed)
    theta = task.prior(size["simulations"], chance)
    x = task.simulator(theta, chance)
    _, observed = task.observations(size["observations"], seed=7)
    train, draw, drawn = METHODS[name](task, theta, x, observed, seed, size["samples"])
    scores = []
    for i, samples in enumerate(drawn):
        exact = task.posterior(observed[i], size["samples"], np.random.default_rng([seed, i]))
        scores.append(round(c2st(samples, exact, seed), 4))
    return {"train": round(train, 1), "draw": round(draw, 1), "c2st": scores}


def mean_and_half(values: list[float]) -> tuple[float, float]:
    """Return the mean and half of its 95 % interval, by Student's law."""
    n = len(values)
    half = float(student.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return float(np.mean(values)), half


def table_of(results: dict[str, Any]) -> str:
    """Return the table of the page, and when and with what it was measured."""
    size, runs = results["size"], results["runs"]
    by_method: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in sorted(runs, key=lambda run: list(TASKS).index(run["task"])):
        by_method.setdefault((run["task"], run["method"]), []).append(run)
    rows = []
    for (task, name), found in by_method.items():
        mean, half = mean_and_half(np.mean([run["c2st"] for run in found], axis=0).tolist())
        train, draw = (np.mean([run[key] for run in found]) for key in ("train", "draw"))
        seconds = [f"{train:.0f} s", f"{draw:.0f} s"]
        rows.append([task, name, f"{mean:.3f} ± {half:.3f}", *seconds, str(len(found))])
    drawn = f"{size['observations']} x {size['samples']:,} samples"
    head = ["task", "method", "C2ST", "training", drawn, "seeds"]
    table = tabulate(rows, head, tablefmt="github", disable_numparse=True)
    packages = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        f"{table}\n\n{size['simulations']:,} simulations, {size['observations']} observations; a "
        "seed is that of simulations and training; mean and 95 % interval over observations. "
        f"Seconds of the processor, one thread. {packages}; {results['date']}."
    )


def write_page(results: dict[str, Any]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(_START) + ".*?" + re.escape(_END), re.DOTALL)
    block = f"{_START}\n\n{table_of(results)}\n\n{_END}"
    PAGE.write_text(pattern.sub(lambda _: block, text), encoding="utf-8")


def run(asked: argparse.Namespace, size: Sizes) -> None:
    """Run what the file lacks, and write it after every run; SystemExit if it has other sizes."""
    found: dict[str, Any] = {"size": size, "runs": []}
    if asked.out.exists():
        found = json.loads(asked.out.read_text(encoding="utf-8"))
    if found["size"] != size:
        raise SystemExit(f"{asked.out} has runs of {found['size']}, not {size}; give --out")
    names = asked.methods
    if importlib.util.find_spec("sbi") is None:
        names = [name for name in names if name == "zoo.fit"]
        print("sbi is not installed: FMPE and NPSE are not measured")
    packages = ["torch", "scikit-learn", *(["sbi"] if names != ["zoo.fit"] else [])]
    found["versions"] = {"fieldzoo": zoo.__version__, **{p: version(p) for p in packages}}
    done = {(run["task"], run["method"], run["seed"]) for run in found["runs"]}
    for seed, task, name in product(range(asked.seeds), asked.tasks, names):
        if (task, name, seed) in done:
            continue
        record = {"task": task, "method": name, "seed": seed}
        record |= measure(TASKS[task], name, seed, size)
        print(record, flush=True)
        found["runs"].append(record)
        found["date"] = time.strftime("%Y-%m-%d")
        with replacing(asked.out) as beside:
            beside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--page", action="store_true", help="write the table from the results")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--tasks", nargs="+", choices=[*TASKS], default=[*TASKS])
    parser.add_argument("--methods", nargs="+", choices=[*METHODS], default=[*METHODS])
    for name, size in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if not asked.page:
        torch.set_num_threads(1)
        run(asked, {name: getattr(asked, name) for name in SIZES})
    if asked.out == RESULTS:
        write_page(json.loads(RESULTS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()

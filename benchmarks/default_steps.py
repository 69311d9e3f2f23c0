"""Do more evaluations make the shipped models better? Their distance by default over that at 100.

    python benchmarks/default_steps.py [PATTERN ...] [-n 1000] [--nfe 100] [--seed 0]
        [--steps 16 18 20]

Draws samples of every bundled model that was trained to the end, from the same starting points
under its own solver: with the steps of its config.json (or with each of --steps), and with those
that take --nfe evaluations; a model with classes draws equally many of each. Prints the Frechet
distances on garment features (for digits, on pixels) and their ratio, with the 95 % interval of
the jackknife that leaves out the same samples of both. Writes docs/default_steps.json, where it
replaces the records of the same model and seed, and prints all records as the table of
docs/solvers.md. Several runs with different PATTERNs can work at the same time.
"""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import torch
from comparison import read, update
from comparison_page import shown, table
from paired import frechet_ratio

import zoo
from zoo.evaluation import features
from zoo.evaluation.intervals import Estimate
from zoo.evaluation.metrics import Samples
from zoo.evaluation.reference import Reference, open_reference
from zoo.evaluation.report import Setting, machine, versions
from zoo.evaluation.run import evaluate_setting
from zoo.evaluation.settings import Measurement, model_setting, sweep

FILE = Path(__file__).parents[1] / "docs" / "default_steps.json"
Interval = tuple[float, float, float]
GARMENTS = "fashion-mnist"
MODELS = (
    *(
        f"{kernel}-{GARMENTS}"
        for kernel in ("gravity", "gaussian", "pfgmpp", "tanh", "exp", "flow")
    ),
    f"gravity-{GARMENTS}-cond",
    "gravity-digits",
)


def interval(found: Estimate) -> Interval:
    """Return a figure and the ends of its interval."""
    return found.value, found.low, found.high


@cache
def reference_of(data: str, shape: tuple[int, ...]) -> Reference:
    """Return the test split of the data by the features of its shape; models share it."""
    kind = features.build(features.default(shape), shape, torch.device("cpu"))
    return open_reference(data, shape, kind)


def compare(
    name: str, steps: list[int], nfe: int, measurement: Measurement
) -> list[dict[str, Any]]:
    """Return a record per number of steps, by default for the model's own."""
    model = zoo.load(name)
    assert model.config is not None
    reference = reference_of(model.config.data.name, model.shape)
    own = model_setting(model, None, None)
    many = sweep(model, [own.solver], [nfe])[0]
    settings = [model_setting(model, None, count) for count in steps] or [own]

    def drawn(setting: Setting) -> tuple[Samples, Interval]:
        found, (samples,) = evaluate_setting(model, setting, measurement, reference)
        return samples, interval(found.metrics["frechet"])

    base, far = drawn(many)
    records = []
    for setting in settings:
        samples, near = drawn(setting)
        ratio = interval(frechet_ratio(samples, base, reference))
        records.append(
            {
                "model": name,
                "solver": setting.solver,
                "nfe": setting.nfe,
                "frechet": near,
                "nfe_many": many.nfe,
                "frechet_many": far,
                "ratio": ratio,
                "samples": measurement.samples,
                "seed": measurement.seeds[0],
            }
        )
        print(
            f"{name:24} {setting.solver} {setting.nfe:3}: {near[0]:.2f}  {many.nfe}: {far[0]:.2f}  "
            "ratio {:.3f} ({:.3f} to {:.3f})".format(*ratio),
            flush=True,
        )
    return records


def page(records: list[dict[str, Any]]) -> str:
    """Return the records as a table in Markdown."""

    def distance(found: Interval) -> str:
        return shown(dict(zip(("value", "low", "high"), found, strict=True)))

    rows = [
        [
            f"`{r['model']}`",
            str(r["seed"]),
            f"{distance(r['frechet'])} ({r['nfe']})",
            f"{distance(r['frechet_many'])} ({r['nfe_many']})",
            "{:.3f} ({:.3f} to {:.3f})".format(*r["ratio"]),
        ]
        for r in records
    ]
    return table(rows, ["model", "seed", "by default (NFE)", "many (NFE)", "ratio"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", default=["*"], help="of models' names")
    parser.add_argument("-n", type=int, default=1000, dest="samples")
    parser.add_argument("--nfe", type=int, default=100)
    parser.add_argument("--steps", type=int, nargs="*", default=[], help="instead of the default")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    measurement = Measurement(("frechet",), given.samples, (given.seed,))
    facts = {"machine": machine("cpu"), "versions": versions()}
    for name in MODELS:
        if any(fnmatchcase(name, pattern) for pattern in given.patterns):
            new = compare(name, given.steps, given.nfe, measurement)

            def with_new(
                old: dict[str, Any], name: str = name, new: list[dict[str, Any]] = new
            ) -> dict[str, Any]:
                of_new = (name, given.seed)
                kept = [r for r in old.get("records", []) if (r["model"], r["seed"]) != of_new]
                records = sorted(kept + new, key=lambda r: (MODELS.index(r["model"]), r["seed"]))
                return {**facts, "records": records}

            update(FILE, with_new)
    print(page(read(FILE).get("records", [])))


if __name__ == "__main__":
    main()

"""The records of the comparison: pooled over trainings, and ratios between two kernels."""

from __future__ import annotations

import json
import math
from typing import Any

from zoo.evaluation.intervals import from_seeds

Record = dict[str, Any]
HERO = "gravity"
KERNELS = ("gravity", "gaussian", "pfgmpp", "tanh", "exp", "flow")


def perturbation(setting: Record) -> str:
    """Return the perturbation of a setting, "" for none."""
    if setting.get("bits"):
        return f"{setting['bits']} bits"
    return f"noise {setting['noise']:g}" if setting.get("noise") else ""


def solver_and_nfe(record: Record) -> tuple[str, int]:
    """Return a record's solver and its evaluations."""
    return record["setting"]["solver"], record["setting"]["nfe"]


def order(record: Record) -> tuple[Any, ...]:
    """Return the sort key of a record: solver, evaluations, perturbation, kernel."""
    return *solver_and_nfe(record), perturbation(record["setting"]), record["kernel"]


def plain(records: list[Record]) -> list[Record]:
    """Return the records without perturbation, by solver and evaluations."""
    return sorted((r for r in records if not perturbation(r["setting"])), key=order)


def present(records: list[Record]) -> list[str]:
    """Return the kernels that there are records of, gravity first."""
    return [kernel for kernel in KERNELS if any(r["kernel"] == kernel for r in records)]


def figure(by_seed: dict[int, float]) -> Record:
    """Return the mean over trainings and its 95 % interval, which one training does not have."""
    values = [by_seed[seed] for seed in sorted(by_seed)]
    if len(values) == 1:
        return {"value": values[0], "low": values[0], "high": values[0], "by_seed": by_seed}
    found = from_seeds(values)
    return {"value": found.value, "low": found.low, "high": found.high, "by_seed": by_seed}


def pooled(outcomes: list[Record]) -> list[Record]:
    """Return a record per kernel and setting, every metric a `figure` over trainings."""
    found: dict[str, Record] = {}
    for outcome in outcomes:
        where = {"kernel": outcome["kernel"], "setting": outcome["setting"]}
        record = found.setdefault(json.dumps(where, sort_keys=True), where | {"metrics": {}})
        for name, value in outcome["metrics"].items():
            record["metrics"].setdefault(name, {})[outcome["seed"]] = value
    for record in found.values():
        record["metrics"] = {name: figure(values) for name, values in record["metrics"].items()}
    return sorted(found.values(), key=order)


def ratio(own: Record, other: Record) -> Record | None:
    """Return the geometric mean, over seeds that both have, of one Frechet distance by the other.

    Trainings of one seed share first weights, order of the data and starts of the samples, so that
    the ratio may vary less than the distances. None without two such seeds.
    """
    one, two = (r["metrics"]["frechet"]["by_seed"] for r in (own, other))
    logs = {seed: math.log(one[seed] / two[seed]) for seed in one.keys() & two.keys()}
    if len(logs) < 2:
        return None
    found = figure(logs)
    return {end: math.exp(found[end]) for end in ("value", "low", "high")}


def duels(records: list[Record]) -> list[tuple[Record, dict[str, Record]]]:
    """Return gravity's records, each with its ratio to every other kernel in the same setting."""
    found = []
    for own in (r for r in records if r["kernel"] == HERO):
        others = {
            r["kernel"]: against
            for r in records
            if r["setting"] == own["setting"] and r is not own and (against := ratio(own, r))
        }
        if others:
            found.append((own, others))
    return found

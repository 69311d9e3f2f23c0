"""Results in a model's folder: config.json keeps them, the card shows them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from zoo.config.model import dump_config
from zoo.config.training import Evaluation
from zoo.errors import ZooError
from zoo.evaluation.intervals import Estimate
from zoo.evaluation.report import Report
from zoo.folder.atomic import NewFolder
from zoo.folder.card import write_card
from zoo.folder.card_edit import HERE, loaded_as, name_in, reference_in, refresh
from zoo.folder.read import CARD, CONFIG, read_card, read_config
from zoo.folder.weights import count_parameters
from zoo.interfaces import Network
from zoo.models.names import Hub, find_model, parse_ref


def folder_to_write(ref: str) -> Path:
    """Return the model folder behind `ref`, whose card is to be changed.

    Raises:
        ZooError: there is none on this machine, or it cannot be written into.
    """
    parsed = parse_ref(ref)
    if isinstance(parsed, Hub):
        raise ZooError(f"{ref} is on the Hub; `zoo pull` it and evaluate a copy of the folder")
    folder = find_model(parsed).folder if isinstance(parsed, str) else parsed
    if not folder.is_dir():
        raise ZooError(f"{ref}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise ZooError(f"{folder} cannot be written into; copy the folder and evaluate the copy")
    return folder


def record(report: Report) -> list[dict[str, Any]]:
    """Return the outcomes without perturbation for config.json, one mapping per setting."""
    common = {
        "data": report.data["ref"],
        "split": report.data["split"],
        "features": report.features["name"],
        "title": report.features["title"],
        "samples": report.samples,
        "seeds": [*report.seeds],
        "intervals": report.intervals,
    }
    if report.classes:
        common["classes"] = report.classes
    found: list[dict[str, Any]] = []
    for outcome in report.outcomes:
        s = outcome.setting
        if s.plain:
            drawn = {"solver": s.solver, "steps": s.steps, "nfe": s.nfe}
            found.append(common | drawn | {"metrics": _rounded(outcome.metrics)})
    if report.model_metrics:
        found = found or [common | {"metrics": {}}]
        found[0]["metrics"] |= _rounded(report.model_metrics)
    return found


def _rounded(figures: dict[str, Estimate]) -> dict[str, list[float]]:
    """Return value, low and high of each figure with five digits."""
    return {n: [float(f"{x:.5g}") for x in (e.value, e.low, e.high)] for n, e in figures.items()}


def _setting_of(entry: Evaluation) -> tuple[object, ...]:
    return entry.data, entry.split, entry.features, entry.solver, entry.steps


def _joined(entry: Evaluation, known: Iterable[Evaluation]) -> Evaluation:
    """Return an entry with the figures too that others, alike in all else, have beside its own."""
    for other in known:
        if structs.replace(other, metrics=entry.metrics) == entry:
            entry = structs.replace(entry, metrics=other.metrics | entry.metrics)
    return entry


def write(folder: Path, report: Report, network: Network) -> None:
    """Put the report into config.json and the card of a model folder.

    Results for the same data, features, solver and steps are replaced, but for figures measured
    alike that the report has not; others stay, if they are of the form that a card shows. Prose in
    the card stays as it is.

    Raises:
        ZooError: the folder cannot be read or written.
    """
    config, card = read_config(folder), read_card(folder)
    known = config.training.evaluation
    fresh = [_joined(e, known) for e in msgspec.convert(record(report), list[Evaluation])]
    replaced = [_setting_of(entry) for entry in fresh]
    kept = (e for e in known if _setting_of(e) not in replaced)
    training = config.training.replace(evaluation=(*fresh, *kept))
    config = structs.replace(config, training=training)
    name = (name_in(card) if card else "") or folder.resolve().name
    written = write_card(name, config, parameters=count_parameters(network))
    written = loaded_as(written, reference_in(card) or HERE)
    try:
        with NewFolder(folder) as temporary:
            (temporary / CARD).write_bytes((refresh(card, written) if card else written).encode())
            (temporary / CONFIG).write_bytes(dump_config(config))
    except OSError as error:
        raise ZooError(f"cannot write into {folder}: {error.strerror}") from error

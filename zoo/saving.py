"""Writing a model folder: card, config.json and safetensors, all or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import torch
from safetensors import SafetensorError
from torch import Tensor

from zoo.card import write_card
from zoo.card_edit import without_picture
from zoo.config import Config, Data, Part, Weights, dump_config
from zoo.errors import ZooError
from zoo.folder import CARD, CONFIG, PICTURE, WEIGHTS, describe
from zoo.new_folder import NewFolder
from zoo.parts import requirements, without_steps
from zoo.picture import write_samples
from zoo.weights import save_weights

if TYPE_CHECKING:
    from zoo.model import FieldModel


def describe_parts(model: FieldModel) -> Config:
    """Return the config of a model put together by hand from parts that zoo built.

    Raises:
        ZooError: a part was not built by zoo.kernel, zoo.prior, zoo.network or zoo.solver, so its
            name and options are not known; or its options cannot be written as JSON.
    """

    def part(kind: str) -> Part:
        named: Part | None = getattr(model, kind).part
        if named is None:
            raise ZooError(f"the {kind} has no name to save; build it with zoo.{kind}(name, ...)")
        try:
            json.dumps(named.options, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ZooError(f"the {kind}'s options are not JSON: {error}") from error
        return named

    config = Config(
        format=1,
        data=Data(model.shape, range=model.range, labels=model.network.labels),
        kernel=part("kernel"),
        prior=part("prior"),
        network=part("network"),
        solver=part("solver"),
    )
    return msgspec.structs.replace(config, requires=requirements(config))


def _config_of(model: FieldModel) -> Config:
    """Return the model's config, with the parts that it has by now."""
    if model.config is None:
        return describe_parts(model)
    known = model.config
    solver, steps = without_steps(known.solver)
    now = (model.kernel.part, model.prior.part, model.solver.part)
    if now == (known.kernel, known.prior, solver):
        return known
    found = describe_parts(model)
    changed = msgspec.structs.replace(
        known,
        kernel=found.kernel,
        prior=found.prior,
        solver=Part(found.solver.use, {**found.solver.options, **steps}),
    )
    return msgspec.structs.replace(changed, requires=requirements(changed))


def save_folder(
    model: FieldModel,
    folder: Path,
    *,
    name: str = "",
    dtype: torch.dtype | None = None,
    samples: Tensor | None = None,
) -> Path:
    """Write `model` into `folder`, replacing what is there only once everything is written.

    Args:
        model: the model.
        folder: where to.
        name: what the card calls it; the folder's name by default.
        dtype: of the weights on disk; None as they are.
        samples: some of its samples, for the card's picture.

    Raises:
        ZooError: parts without names, options that are not JSON, a dtype of whole numbers, a folder
            of something else, or a disk that refuses.
    """
    if dtype is not None and not dtype.is_floating_point:
        raise ZooError(f"dtype = {dtype}; expected one of floating-point numbers")
    config = _config_of(model)
    try:
        with NewFolder(folder) as beside:
            save_weights(beside / WEIGHTS, model.network, dtype)
            files = {WEIGHTS: describe(beside / WEIGHTS)}
            config = msgspec.structs.replace(config, weights=Weights(files=files))
            (beside / CONFIG).write_bytes(dump_config(config))
            if samples is not None:
                write_samples(beside / PICTURE, samples)
            pictured = samples is not None or (folder.expanduser() / PICTURE).is_file()
            card = model.card if pictured else without_picture(model.card)
            card = card or write_card(
                name or folder.resolve().name,
                config,
                network=model.network,
                picture=PICTURE if samples is not None else "",
            )
            (beside / CARD).write_text(card, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise ZooError(f"cannot write {folder}: {' '.join(str(error).split())}") from error
    return folder

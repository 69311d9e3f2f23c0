"""Writing a model folder: card, config.json and safetensors, all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import torch

from zoo.card import write_card
from zoo.config import Config, Data, Part, Weights, dump_config
from zoo.errors import ZooError
from zoo.folder import CARD, CONFIG, WEIGHTS, NewFolder, describe
from zoo.weights import save_weights

if TYPE_CHECKING:
    from zoo.model import FieldModel


def describe_parts(model: FieldModel) -> Config:
    """Return the config of a model put together by hand from parts that zoo built.

    Raises:
        ZooError: a part was not built by zoo.kernel, zoo.prior, zoo.network or zoo.solver, so its
            name and options are not known.
    """
    parts: dict[str, Part] = {}
    for kind in ("kernel", "prior", "network", "solver"):
        part = getattr(getattr(model, kind), "part", None)
        if part is None:
            raise ZooError(f"the {kind} has no name to save; build it with zoo.{kind}(name, ...)")
        parts[kind] = part
    return Config(format=1, data=Data(model.shape, labels=model.network.labels), **parts)


def save_folder(model: FieldModel, folder: Path, *, dtype: torch.dtype | None = None) -> Path:
    """Write `model` into `folder`, replacing it only once everything is written.

    Raises:
        ZooError: parts without names, options that are not JSON, or a disk that refuses.
    """
    config = model.config or describe_parts(model)
    try:
        with NewFolder(folder) as beside:
            save_weights(beside / WEIGHTS, model.network, dtype)
            files = {WEIGHTS: describe(beside / WEIGHTS)}
            config = msgspec.structs.replace(config, weights=Weights(files=files))
            (beside / CONFIG).write_bytes(dump_config(config))
            card = model.card or write_card(folder.name, config, network=model.network)
            (beside / CARD).write_text(card, encoding="utf-8")
    except (OSError, TypeError) as error:
        raise ZooError(f"cannot write {folder}: {error}") from error
    return folder

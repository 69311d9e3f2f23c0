"""Writing a model folder: card, config.json and safetensors, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from zoo.config.model import Config, Weights, dump_config
from zoo.errors import ZooError, one_line
from zoo.folder.atomic import NewFolder
from zoo.folder.card import write_card
from zoo.folder.card_edit import HERE, loaded_as, with_picture, without_picture
from zoo.folder.picture import write_samples
from zoo.folder.read import CARD, CONFIG, PICTURE, WEIGHTS, describe
from zoo.folder.weights import count_parameters, save_weights


def write_folder(
    folder: Path,
    config: Config,
    weights: nn.Module | Mapping[str, Tensor],
    card: str = "",
    *,
    name: str = "",
    license: str = "",
    dtype: torch.dtype | None = None,
    samples: Tensor | None = None,
    caption: str = "samples",
) -> Path:
    """Write a model into `folder`, replacing what is there only once everything is written.

    Args:
        folder: where to.
        config: of the model; size and hash of the weights are filled in here.
        weights: the network whose state they are, or the tensors by name.
        card: the model card, whose commands become those of this folder; "" to write one from the
            config.
        name: what a new card calls the model; the folder's name by default.
        license: of the weights, for a new card; as for `write_card`.
        dtype: of the weights on disk; None as they are.
        samples: some of the model's samples, for the card's picture.
        caption: of that picture.

    Raises:
        ZooError: a dtype of whole numbers, a folder of something else, or a disk that refuses.
    """
    if dtype is not None and not dtype.is_floating_point:
        raise ZooError(f"dtype = {dtype}; expected one of floating-point numbers")
    network = weights if isinstance(weights, nn.Module) else None
    state = weights.state_dict() if isinstance(weights, nn.Module) else weights
    try:
        with NewFolder(folder) as beside:
            save_weights(beside / WEIGHTS, state, dtype)
            files = {WEIGHTS: describe(beside / WEIGHTS)}
            config = msgspec.structs.replace(config, weights=Weights(files=files))
            (beside / CONFIG).write_bytes(dump_config(config))
            if samples is not None:
                write_samples(beside / PICTURE, samples)
            pictured = samples is not None or (folder.expanduser() / PICTURE).is_file()
            card = card if pictured else without_picture(card)
            card = card or write_card(
                name or folder.resolve().name,
                config,
                parameters=count_parameters(network) if network else 0,
                picture=PICTURE if samples is not None else "",
                license=license,
            )
            card = card if samples is None else with_picture(card, caption)
            card = loaded_as(card, HERE)
            (beside / CARD).write_text(card, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise ZooError(f"cannot write {folder}: {one_line(error)}") from error
    return folder

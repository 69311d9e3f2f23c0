"""Laws of model folders: the files are complete, and the model can be sampled."""

from __future__ import annotations

from pathlib import Path

import torch

from zoo.errors import CheckFailure, ZooError
from zoo.folder.read import CARD, read_config
from zoo.host.requirements import check_requirements
from zoo.hub import Access
from zoo.models.load import load_folder
from zoo.models.locate import resolve, weight_paths
from zoo.sampling.arguments import classes_in_turn
from zoo.testing.calls import require_equal, require_shape

_SAMPLES = 3
_STEPS = 2


def files(folder: Path) -> None:
    """config.json is valid, its requirements are installed, the weights match, there is a card."""
    try:
        config = read_config(folder)
        check_requirements(config, folder.name)
        home, config = resolve(folder, config, Access())
        weight_paths(home, config.weights)
    except ZooError as error:
        raise CheckFailure(str(error)) from error
    if not (folder / CARD).is_file():
        raise CheckFailure(f"{folder / CARD} is missing: a model needs a card")


def samples(folder: Path) -> None:
    """The model loads; samples are finite and do not depend on the batch size."""
    try:
        model = load_folder(folder)
        labels = classes_in_turn(model.network.labels, _SAMPLES)
        draws = [
            model.sample(_SAMPLES, seed=0, steps=_STEPS, labels=labels, batch_size=size)
            for size in (_SAMPLES, 1)
        ]
    except ZooError as error:
        raise CheckFailure(str(error)) from error
    whole, parts = draws
    require_shape(whole, (_SAMPLES, *model.shape), "a batch of samples")
    if not bool(torch.isfinite(whole).all()):
        raise CheckFailure("samples are not finite")
    require_equal(parts, whole, "samples drawn one by one and in one batch", 1e-3)

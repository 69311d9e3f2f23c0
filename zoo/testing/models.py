"""Laws of model folders: files are complete, the model can be sampled, D ends at the identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import CheckFailure, ZooError
from zoo.folder.read import CARD, read_config
from zoo.host.requirements import check_requirements
from zoo.hub import Access
from zoo.models.load import load_folder
from zoo.models.locate import resolve, weight_paths
from zoo.models.model import FieldModel
from zoo.sampling.arguments import classes_in_turn
from zoo.testing.calls import require_equal, require_shape
from zoo.testing.numerics import normal

_SAMPLES = 3
_STEPS = 2
# How far the denoiser may move samples at t_min, in units of their standard deviation.
_MOVED = 0.05


def conditions_of(model: FieldModel, n: int) -> Tensor | None:
    """Return n conditions of the size of those that the model was trained with; None for none."""
    known = model.condition
    if known is None:
        return None
    made = normal(n, *known.shape, seed=3)
    return made if known.standardise is None else known.standardise.undo(made)


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
        given: dict[str, Any] = {"labels": labels, "condition": conditions_of(model, _SAMPLES)}
        draws = [
            model.sample(_SAMPLES, seed=0, steps=_STEPS, batch_size=size, **given)
            for size in (_SAMPLES, 1)
        ]
    except ZooError as error:
        raise CheckFailure(str(error)) from error
    whole, parts = draws
    require_shape(whole, (_SAMPLES, *model.shape), "a batch of samples")
    if not bool(torch.isfinite(whole).all()):
        raise CheckFailure("samples are not finite")
    require_equal(parts, whole, "samples drawn one by one and in one batch", 1e-3)


def identity(folder: Path) -> None:
    """D(x, t_min), where next to no noise is left, leaves the model's own samples as they are."""
    try:
        model = load_folder(folder).latents
        if not model.kernel.affine:
            return  # a field that determines no denoiser
        labels = classes_in_turn(model.network.labels, _SAMPLES)
        given = conditions_of(model, _SAMPLES)
        x = model.sample(_SAMPLES, seed=0, labels=labels, condition=given).to(model.device)
        kept = model.denoise(x, model.kernel.t_min, condition=given)
        moved = float((kept - x).square().mean().sqrt())
    except ZooError as error:
        raise CheckFailure(str(error)) from error
    spread = float(x.std())
    if moved > _MOVED * spread:
        raise CheckFailure(
            f"E[x_0 | x_t] at t_min moves samples by {moved:.3g} (root mean square), more than "
            f"{_MOVED:g} of their spread {spread:.3g}: small t was not trained, or far points are "
            "taken for noise"
        )

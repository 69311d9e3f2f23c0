"""The end of a run: its averaged weights as a model folder."""

from __future__ import annotations

from pathlib import Path

import torch

from zoo.config import Config, Data
from zoo.model import FieldModel
from zoo.parts import prior_of, requirements, solver_of
from zoo.picture import drawable
from zoo.saving import save_folder
from zoo.train.loop import Trainer
from zoo.train.progress import hours, last_loss

_SHOWN = 64


def export(trainer: Trainer) -> Path:
    """Write model/ into the run's folder, weights in half precision, and return its path."""
    recipe, data = trainer.recipe, trainer.data
    network = trainer.ema.module
    config = Config(
        format=1,
        data=Data(data.shape, range=data.range, labels=network.labels, name=data.name),
        kernel=recipe.kernel,
        prior=recipe.prior,
        network=recipe.network,
        solver=recipe.solver,
        requires=requirements(recipe),
        training={
            "recipe": recipe.to_dict(),
            "data_licence": data.licence,
            "outcome": {
                "images_seen": trainer.step * recipe.train.batch,
                "steps": trainer.step,
                "steps_skipped": trainer.skipped,
                "hours": hours(trainer.folder),
                "final_training_loss": last_loss(trainer.folder),
            },
        },
    )
    model = FieldModel(
        kernel=trainer.kernel,
        prior=prior_of(recipe.prior, trainer.kernel),
        network=network,
        solver=solver_of(recipe.solver),
        shape=data.shape,
        config=config,
    )
    samples = model.eval().sample(_SHOWN, seed=0) if drawable(data.shape) else None
    target = trainer.folder / "model"
    return save_folder(model, target, name=recipe.name, dtype=torch.float16, samples=samples)

"""The averaged weights of a run as a model, and as a model folder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from zoo.config.model import Config, Data
from zoo.config.training import Outcome, TrainingRecord
from zoo.errors import ZooError
from zoo.folder.picture import drawable
from zoo.host.requirements import requirements
from zoo.models.load import assemble
from zoo.models.model import FieldModel
from zoo.sampling.arguments import classes_in_turn
from zoo.training.log import hours, last_loss
from zoo.training.trainer import Trainer

MODEL = "model"
_SHOWN = 64


def model_of(trainer: Trainer) -> FieldModel:
    """Return the model of a run's averaged weights, with the record of its training."""
    recipe, data = trainer.recipe, trainer.data
    network = trainer.averaged
    validation_loss = trainer.validation_loss
    outcome = Outcome(
        images_seen=trainer.step * recipe.train.batch,
        steps=trainer.step,
        steps_skipped=trainer.skipped,
        hours=hours(trainer.folder),
        final_training_loss=last_loss(trainer.folder),
        validation_loss=None if validation_loss is None else round(validation_loss, 6),
    )
    config = Config(
        format=1,
        data=Data(data.shape, range=data.range, labels=network.labels, name=data.name),
        kernel=recipe.kernel,
        prior=recipe.prior,
        network=recipe.network,
        solver=recipe.solver,
        requires=requirements(recipe),
        training=TrainingRecord(
            recipe=recipe.to_dict(), data_licence=data.licence, outcome=outcome
        ),
    )
    return assemble(config, network, kernel=trainer.kernel)


def shown(model: FieldModel) -> Tensor:
    """Return 64 samples, always of the same starting points; of all classes in turn, if any."""
    labels = classes_in_turn(model.network.labels, _SHOWN)
    return model.sample(_SHOWN, seed=0, labels=labels)


def picture_of(trainer: Trainer, model: FieldModel) -> Tensor | None:
    """Return `shown(model)`; None, and a line in the log, where the model cannot be sampled.

    A run is not to be lost for a picture of weights whose samples are not finite, or not yet.
    """
    try:
        return shown(model)
    except ZooError as error:
        trainer.log(no_picture=str(error))
        return None


def export(trainer: Trainer, folder: str = MODEL, *, picture: bool = True) -> Path:
    """Write a model folder into the run's, weights in half precision, and return its path.

    Args:
        trainer: the run.
        folder: name of the model folder.
        picture: draw 64 samples for the card, where samples have a picture and are finite.

    Raises:
        ZooError: the disk is full or not writable.
    """
    model = model_of(trainer)
    drawn = picture and drawable(trainer.data.shape)
    samples = picture_of(trainer, model) if drawn else None
    target = trainer.folder / folder
    return model.write(target, name=trainer.recipe.name, dtype=torch.float16, samples=samples)

"""What a run makes of its averaged weights: models, the loss on held-out data, pictures."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from zoo.config.model import Config, Data
from zoo.config.training import TrainingOutcome, TrainingRecord
from zoo.data import Images
from zoo.errors import ZooError
from zoo.folder.picture import default_suffix, drawable, write_samples
from zoo.folder.run import MODEL
from zoo.host.requirements import requirements
from zoo.models.load import assemble
from zoo.models.model import FieldModel
from zoo.sampling.arguments import classes_in_turn
from zoo.sampling.rng import VALIDATION, seed_for
from zoo.training.batch import Batch, single_target
from zoo.training.log import hours, last_loss
from zoo.training.objective import Objective
from zoo.training.trainer import Trainer

_SHOWN = 64
BEST = "model-best"
SAMPLES = "samples"
# So many images have a mean loss that is known to about 1 %, for the price of a few steps.
MOST = 2048
_CHUNK = 64


def model_of(trainer: Trainer) -> FieldModel:
    """Return the model of a run's averaged weights, with the record of its training."""
    recipe, data = trainer.recipe, trainer.data
    network = trainer.averaged
    validation_loss = trainer.validation_loss
    outcome = TrainingOutcome(
        images_seen=trainer.step * recipe.train.batch,
        steps=trainer.step,
        steps_skipped=trainer.skipped,
        hours=hours(trainer.folder),
        final_training_loss=last_loss(trainer.folder),
        validation_loss=None if validation_loss is None else round(validation_loss, 6),
    )
    config = Config(
        format=1,
        data=Data(
            data.shape,
            range=data.range,
            labels=network.labels,
            name=data.name,
            classes=data.class_names if network.labels else (),
            standardise=data.standardise,
            condition=data.condition,
        ),
        kernel=recipe.kernel,
        prior=recipe.prior,
        network=recipe.network,
        solver=recipe.solver,
        requires=requirements(recipe),
        training=TrainingRecord(
            recipe=recipe.to_dict(), data_license=data.license, outcome=outcome
        ),
    )
    return assemble(config, network, kernel=trainer.kernel)


def picture_of(trainer: Trainer, model: FieldModel) -> Tensor | None:
    """Return 64 samples, always of the same starting points; of all classes in turn, if any.

    Where they are drawn given a condition it is that of 64 samples of the data, evenly spread.
    None, and a line in the log, where the samples are not finite: a run is not lost for a picture.
    """
    labels, condition = classes_in_turn(model.network.labels, _SHOWN), None
    if trainer.data.given is not None:
        chosen = torch.arange(_SHOWN) * len(trainer.data) // _SHOWN
        condition = trainer.data.raw_conditions(chosen)
        own = trainer.data.labels
        labels = own[chosen] if own is not None and labels is not None else labels
    try:
        return model.sample(_SHOWN, seed=0, labels=labels, condition=condition)
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


class Validation:
    """Computes the loss on held-out data, logs it, and exports the weights when it is the least.

    The images are fixed, each with one fixed draw of time and noise, and the weights are the
    averaged ones: what changes from one figure to the next is the network alone.

    Args:
        data: held-out images; MOST of them, evenly spread, are used.
        every: images of training between two figures.
    """

    def __init__(self, data: Images, every: int) -> None:
        self.data, self.every = data, every

    def loss(self, trainer: Trainer) -> float:
        """Return the mean training loss of the averaged network on the held-out images."""
        count = min(MOST, len(self.data))
        chosen = torch.arange(count) * len(self.data) // count
        objective = Objective(trainer.averaged, trainer.recipe.train.precision)
        total = 0.0
        with torch.no_grad():
            for number, indices in enumerate(chosen.split(_CHUNK)):  # type: ignore[no-untyped-call]
                total += float(objective(self._batch(trainer, number, indices))) * len(indices)
        return total / count

    def _batch(self, trainer: Trainer, number: int, indices: torch.Tensor) -> Batch:
        """Return held-out images with their noise, drawn on the CPU: the same on any device."""
        generator = torch.Generator().manual_seed(seed_for(number, VALIDATION))
        kernel, network = trainer.kernel, trainer.network
        x_0 = self.data.batch(indices)
        x_t, t = trainer.batches.noise.draw(kernel, x_0, generator)
        target = single_target(kernel, network.predicts, x_t, t, x_0)
        labelled = network.labels and self.data.labels is not None
        labels = self.data.labels[indices] if labelled and self.data.labels is not None else None
        condition = self.data.conditions(x_0, indices)
        batch = Batch(x_t, t, target, labels, condition=condition)
        return batch.to(trainer.context.device)

    def on_step(self, trainer: Trainer) -> None:
        """Log the loss; where it is the least so far, write model-best/."""
        loss = self.loss(trainer)
        # What is not finite is no figure: nothing would ever be less than NaN.
        found = loss if math.isfinite(loss) else None
        trainer.validation_loss = found
        if found is not None and (trainer.best_loss is None or found < trainer.best_loss):
            trainer.best_loss, trainer.best_step = found, trainer.step
            export(trainer, BEST, picture=False)
        trainer.log(validation_loss=found, best_loss=trainer.best_loss, best_step=trainer.best_step)


class SampleGrids:
    """Draws 64 samples with the averaged weights, always from the same starting points.

    Args:
        every: images of training between two pictures.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def on_step(self, trainer: Trainer) -> None:
        """Write the picture of this step, or .npz numbers where the data have none.

        Where the averaged weights cannot be sampled, there is none and the log says so.

        Raises:
            ZooError: the disk is full or not writable.
        """
        samples = picture_of(trainer, model_of(trainer))
        if samples is None:
            return
        folder = trainer.folder / SAMPLES
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ZooError(f"cannot write into {folder}: {error.strerror}") from error
        suffix = default_suffix(trainer.data.shape)
        write_samples(folder / f"{trainer.step:06d}{suffix}", samples)

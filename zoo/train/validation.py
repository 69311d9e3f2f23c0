"""The loss on held-out data, and the weights that were best by it.

Fixed images, each with one fixed draw of time and noise, and the averaged weights: what changes
from one figure to the next is the network alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from zoo.data import Images
from zoo.train.batch import Batch, step_seed
from zoo.train.export import export
from zoo.train.objective import Objective
from zoo.train.target import single_target

if TYPE_CHECKING:
    from zoo.train.loop import Trainer

BEST = "model-best"
# So many images have a mean loss that is known to about 1 %, for the price of a few steps.
MOST = 2048
_CHUNK = 64
_STREAM = -1


class Validation:
    """Computes the loss on held-out data, logs it, and exports the weights when it is the least.

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
        objective = Objective(trainer.ema.module, trainer.recipe.train.precision)
        total = 0.0
        with torch.no_grad():
            for number, indices in enumerate(chosen.split(_CHUNK)):  # type: ignore[no-untyped-call]
                total += float(objective(self._batch(trainer, number, indices))) * len(indices)
        return total / count

    def _batch(self, trainer: Trainer, number: int, indices: torch.Tensor) -> Batch:
        """Return held-out images with their noise, drawn on the CPU: the same on any device."""
        generator = torch.Generator().manual_seed(step_seed(number, _STREAM))
        kernel, network = trainer.kernel, trainer.network
        x_0 = self.data.batch(indices)
        x_t, t = trainer.draws.noise.draw(kernel, x_0, generator)
        target = single_target(kernel, network.predicts, x_t, t, x_0)
        labelled = network.labels and self.data.labels is not None
        labels = self.data.labels[indices] if labelled and self.data.labels is not None else None
        return Batch(x_t, t, target, labels).to(trainer.world.device)

    def look(self, trainer: Trainer) -> None:
        """Log the loss; where it is the least so far, write model-best/."""
        loss = self.loss(trainer)
        # What is not finite is no figure: nothing would ever be less than NaN.
        found = loss if math.isfinite(loss) else None
        trainer.validation_loss = found
        if found is not None and (trainer.best_loss is None or found < trainer.best_loss):
            trainer.best_loss, trainer.best_step = found, trainer.step
            export(trainer, BEST, picture=False)
        trainer.log(validation_loss=found, best_loss=trainer.best_loss, best_step=trainer.best_step)

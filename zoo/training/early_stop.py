"""Ends a run when held-out data say that it is enough, keeping the best weights; or at a time."""

from __future__ import annotations

import math
import time

from torch import Tensor

from zoo.data import Images
from zoo.training.export import Validation
from zoo.training.trainer import Trainer


class EarlyStop(Validation):
    """Measures the loss of the averaged weights on held-out data, and remembers the best ones.

    Args:
        data: held-out samples, as for `Validation`.
        every: samples of training between two figures.
        patience: so many figures in a row without a new least one end the run.
    """

    def __init__(self, data: Images, every: int, *, patience: int) -> None:
        super().__init__(data, every)
        self.patience, self.waited, self.measured = patience, 0, 0
        self.best: dict[str, Tensor] = {}

    def on_step(self, trainer: Trainer) -> None:
        """Compare the loss with the least so far; tell the trainer when it is enough."""
        loss, self.measured = self.loss(trainer), trainer.step
        if math.isfinite(loss) and (trainer.best_loss is None or loss < trainer.best_loss):
            trainer.best_loss, trainer.best_step = loss, trainer.step
            state = trainer.averaged.state_dict()
            self.best = {name: value.clone() for name, value in state.items()}
            self.waited = 0
        else:
            self.waited += 1
        trainer.enough |= self.waited >= self.patience
        trainer.log(validation_loss=loss if math.isfinite(loss) else None)

    def restore(self, trainer: Trainer) -> None:
        """Give the averaged network the best weights that were measured, the last ones included."""
        if self.measured != trainer.step:
            self.on_step(trainer)
        if self.best:
            trainer.averaged.load_state_dict(self.best)
            trainer.validation_loss = trainer.best_loss


class Deadline:
    """Ends a run after the step in which time.monotonic() passes `end`."""

    every = 1

    def __init__(self, end: float) -> None:
        self.end = end

    def on_step(self, trainer: Trainer) -> None:
        """Tell the trainer when it is enough."""
        trainer.enough |= time.monotonic() > self.end

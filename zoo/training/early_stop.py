"""Ends a run when the loss on held-out data has stopped to fall, and keeps its best weights."""

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
        end: of time.monotonic(), at the first figure after which the run ends; None for never.
    """

    def __init__(
        self, data: Images | None, every: int, *, patience: int, end: float | None = None
    ) -> None:
        self.every, self.patience = every, patience
        self.held_out, self.waited = data, 0
        self.end = math.inf if end is None else end
        self.best: dict[str, Tensor] = {}
        if data is not None:
            super().__init__(data, every)

    def on_step(self, trainer: Trainer) -> None:
        """Compare the loss with the least so far; tell the trainer when it is enough."""
        trainer.enough = time.monotonic() > self.end
        if self.held_out is None:
            return
        loss = self.loss(trainer)
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
        """Give the averaged network the best weights, if any were measured."""
        if self.best:
            trainer.averaged.load_state_dict(self.best)
            trainer.validation_loss = trainer.best_loss

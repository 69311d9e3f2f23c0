"""What looks at a run now and then and changes nothing in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from zoo.train.loop import Trainer


class Watcher(Protocol):
    """Looks at a run in the process that writes; it reads the averaged weights.

    Attributes:
        every: images between two looks; there is one more at the end.
    """

    every: int

    def look(self, trainer: Trainer) -> None:
        """Look, after a step, before its checkpoint; the same again where a run is resumed."""


def is_due(every: int, step: int, steps: int, batch: int) -> bool:
    """Return whether step number `step` (from 1) passes a multiple of `every`, or is the last."""
    return step == steps or step * batch // every > (step - 1) * batch // every

"""Plans of samples that have noise levels of their own, worked out for all levels at once.

Besides the ends of a walk, a sample's plan depends on one number: its share, its own level over
the kernel's typical one. The shares are cut into rungs, equally wide in log share. Samples on one
rung are evaluated at the same times, those of its middle; their weights at these times are right
for a share at either end of the rung, and linear in log share between. A walk then reads its plan
off a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from zoo_solvers.coefficients import Weights
from zoo_solvers.linear import LARGEST_SHARE, LEAST_SHARE

RUNGS = 442
_LEAST = math.log(LEAST_SHARE)
_WIDTH = (math.log(LARGEST_SHARE) - _LEAST) / RUNGS  # 1/32


class Ladder:
    """The times and weights of one walk for every rung.

    Args:
        times_of: from shares (B,) to the times of a walk, (steps + 1, B).
        weights_of: from times, and shares that need not be those of the times, to the weights.
        device: where the shares are.
    """

    @torch.no_grad()
    def __init__(
        self,
        times_of: Callable[[Tensor], Tensor],
        weights_of: Callable[[Tensor, Tensor], Weights],
        device: torch.device,
    ) -> None:
        self.device = device
        rungs = torch.arange(RUNGS, dtype=torch.float64, device=device)
        low, middle, high = ((_LEAST + _WIDTH * (rungs + part)).exp() for part in (0, 0.5, 1))
        times = times_of(middle)
        at_low, at_high = weights_of(times, low), weights_of(times, high)
        self._steps, self._states = len(at_low.table), at_low.states
        weights = [at.table.flatten(0, 1) for at in (at_low, at_high)]
        # A row per rung: its times, the weights at its low end, and those at its high end.
        self._rows = torch.cat([times, *weights]).T.contiguous()

    def open(self, share: Tensor) -> tuple[Tensor, Weights]:
        """Return the times, (steps + 1, B), and the weights of samples with shares (B,)."""
        place = (share.log() - _LEAST) / _WIDTH
        # A share that is not a number gets a rung, and weights that are no numbers either.
        rung = place.long().clamp_(0, RUNGS - 1)
        rows = self._rows.index_select(0, rung).T
        times, weights = rows[: self._steps + 1], rows[self._steps + 1 :]
        low, high = weights[: len(weights) // 2], weights[len(weights) // 2 :]
        table = torch.lerp(low, high, place - rung).reshape(self._steps, -1, len(share))
        return times, Weights(table, self._states)

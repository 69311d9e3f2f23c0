"""Exponential Heun: the linear part exact, D linear between the ends of a step; two evaluations."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo.interfaces import Flow
from zoo_solvers.linear import LinearPart, combine
from zoo_solvers.multistep import Exponential, adams_bashforth, adams_moulton


class ExpHeun(Exponential):
    """Exponential Euler, then D linear between the step's two ends: two evaluations a step."""

    order, stages = 2, 2

    def value_weights(self, part: LinearPart) -> Tensor:
        """Return the weight of D_i in the predictor, then of D_{i+1}, D_i in the corrector."""
        return torch.cat([adams_bashforth(part, 1), adams_moulton(part, 2)], dim=1)

    def states(self, flow: Flow, x: Tensor, times: list[float]) -> Iterator[Tensor]:
        """Yield the state after every step, shape (B, *)."""
        denoise = self.evaluation(flow)
        here = denoise(x, times[0])
        for i, step in enumerate(self.steps(flow, x, here, times)):
            if i:
                here = denoise(x, step.t)
            ahead = denoise(combine([x], step.states, [here], step.values[:1]), step.t_next)
            x = combine([x], step.states, [ahead, here], step.values[1:])
            yield x

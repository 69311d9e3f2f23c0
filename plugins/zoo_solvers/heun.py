"""Heun: an Euler step, then the mean of the slopes at its two ends, order 2.

    d = f(x, t),   x~ = x + h d,   x' = x + h (d + f(x~, t')) / 2,   h = t' - t

Source: EDM, arXiv:2206.00364, algorithm 1. Two evaluations a step; the last Euler step of that
algorithm, from t_min to 0, is the model's final denoising, so N = 18 there is 17 steps here.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from zoo.interfaces import Flow
from zoo.interfaces.solver import StepCallback
from zoo_solvers.linear import field_along
from zoo_solvers.plan import mix
from zoo_solvers.walk import GridSolver, held


class Heun(GridSolver):
    """Heun's trapezoidal method in t."""

    order = 2

    def steps_along(self, flow: Flow, x: Tensor, times: list[float], after: StepCallback) -> Tensor:
        """Return x at times[-1]."""
        return self.some_steps(flow, x, times, len(times) - 1, after)

    def some_steps(
        self, flow: Flow, x: Tensor, times: list[float], steps: int, after: StepCallback
    ) -> Tensor:
        """Return x at times[-1], which are of a walk of so many steps."""
        field = field_along(flow, times)
        for i, (t, t_next) in enumerate(pairwise(times)):
            h, (pull, pull_next) = t_next - t, field.pull[i : i + 2]
            push, push_next = field.push[i : i + 2]
            grow, add = 1 + h * pull, h * push
            here = field.value(x, t)
            x = held(x, here, steps)
            ahead = field.value(mix([x], [grow], [here], [add]), t_next)
            # x + h (d + d~) / 2 with d = pull x + push V and x~ = grow x + add V.
            shrink = 1 + h / 2 * (pull + pull_next * grow)
            weights = [h / 2 * (push + pull_next * add), h / 2 * push_next]
            x = mix([x], [shrink], [here, ahead], weights)
            after(i, t_next, x)
        return x

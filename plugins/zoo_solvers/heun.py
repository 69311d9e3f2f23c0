"""Heun: an Euler step, then the mean of the slopes at its two ends, order 2.

    d = f(x, t),   x~ = x + h d,   x' = x + h (d + f(x~, t')) / 2,   h = t' - t

Source: EDM, arXiv:2206.00364, algorithm 1. Two evaluations a step; the last Euler step of that
algorithm, from t_min to 0, is the model's final denoising, so N = 18 there is 17 steps here.
"""

from __future__ import annotations

from torch import Tensor

from zoo.interfaces import Flow, GridSolver
from zoo_solvers.linear import combine, drift_and_gain, evaluation


class Heun(GridSolver):
    """Heun's trapezoidal method in t; f = drift x + gain V."""

    order, stages = 2, 2

    def step(
        self, flow: Flow, x: Tensor, t: float, t_next: float, here: Tensor | None = None
    ) -> Tensor:
        """Return the state at t_next, shape (B, *); `here` is V(x, t) where it is known already."""
        evaluate = evaluation(flow)
        drift, gain = drift_and_gain(flow.kernel, t)
        drift_next, gain_next = drift_and_gain(flow.kernel, t_next)
        h = t_next - t
        grow, add = 1 + h * drift, h * gain
        here = evaluate(x, t) if here is None else here
        ahead = evaluate(combine([x], [grow], [here], [add]), t_next)
        # x + h (d + d~) / 2 with d = drift x + gain V and x~ = grow x + add V.
        on_x = 1 + h / 2 * (drift + drift_next * grow)
        return combine(
            [x], [on_x], [here, ahead], [h / 2 * (gain + drift_next * add), h / 2 * gain_next]
        )

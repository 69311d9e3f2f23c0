"""Heun: an Euler step, then the mean of the slopes at its two ends, order 2.

    d = f(x, t),   x~ = x + h d,   x' = x + h (d + f(x~, t')) / 2,   h = t' - t

Source: EDM, arXiv:2206.00364, algorithm 1. Two evaluations a step; the last Euler step of that
algorithm, from t_min to 0, is the model's final denoising, so N = 18 there is 17 steps here.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from zoo.interfaces import Flow
from zoo.interfaces.solver import StepCallback
from zoo_solvers.walk import GridSolver


class Heun(GridSolver):
    """Heun's trapezoidal method in t."""

    order = 2

    def steps_along(
        self, flow: Flow, x: Tensor, times: list[float], after: StepCallback
    ) -> Tensor:
        """Return x at times[-1]."""
        for i, (t, t_next) in enumerate(pairwise(times)):
            h = t_next - t
            slope = flow.field(x, t)
            ahead = flow.field(torch.add(x, slope, alpha=h), t_next)
            x = torch.add(x, slope + ahead, alpha=h / 2)
            after(i, t_next, x)
        return x

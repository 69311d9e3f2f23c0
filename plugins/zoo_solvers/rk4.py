"""The classical Runge-Kutta method in u = log t, order 4, four evaluations a step.

    k1 = g(u, x),               k2 = g(u + h/2, x + h/2 k1),
    k3 = g(u + h/2, x + h/2 k2),  k4 = g(u + h, x + h k3),
    x' = x + h (k1 + 2 k2 + 2 k3 + k4) / 6,   g(u, x) = t f(x, t)

The middle of a step in u is the geometric mean of its times.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from zoo.interfaces import Flow
from zoo.interfaces.solver import StepCallback
from zoo_solvers.linear import slope
from zoo_solvers.walk import GridSolver


class RK4(GridSolver):
    """Runge and Kutta's method in log t."""

    order = 4

    def steps_along(self, flow: Flow, x: Tensor, times: list[float], after: StepCallback) -> Tensor:
        """Return x at times[-1]."""
        field = slope(flow)
        for i, (t, t_next) in enumerate(pairwise(times)):
            h, middle = math.log(t_next / t), math.sqrt(t * t_next)
            k1 = field(x, t)
            k2 = field(torch.add(x, k1, alpha=h / 2 * t), middle)
            k3 = field(torch.add(x, k2, alpha=h / 2 * middle), middle)
            k4 = field(torch.add(x, k3, alpha=h * middle), t_next)
            inner = (k2 + k3).mul_(2 * middle).add_(k1, alpha=t).add_(k4, alpha=t_next)
            x = torch.add(x, inner, alpha=h / 6)
            after(i, t_next, x)
        return x

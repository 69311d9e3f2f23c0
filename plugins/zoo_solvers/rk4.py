"""The classical Runge-Kutta method in u = log t, order 4, four evaluations a step.

    k1 = g(u, x),               k2 = g(u + h/2, x + h/2 k1),
    k3 = g(u + h/2, x + h/2 k2),  k4 = g(u + h, x + h k3),
    x' = x + h (k1 + 2 k2 + 2 k3 + k4) / 6,   g(u, x) = t f(x, t)

The middle of a step in u is the geometric mean of its times.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.interfaces import Flow, GridSolver
from zoo_solvers.linear import field


class RK4(GridSolver):
    """Runge and Kutta's method in log t."""

    order, stages = 4, 4

    def step(self, flow: Flow, x: Tensor, t: float, t_next: float) -> Tensor:
        """Return the state at t_next, shape (B, *); the slopes f are those of k by t."""
        h, middle = math.log(t_next / t), math.sqrt(t * t_next)
        f1 = field(flow, x, t)
        f2 = field(flow, torch.add(x, f1, alpha=h / 2 * t), middle)
        f3 = field(flow, torch.add(x, f2, alpha=h / 2 * middle), middle)
        f4 = field(flow, torch.add(x, f3, alpha=h * middle), t_next)
        inner = (f2 + f3).mul_(2 * middle).add_(f1, alpha=t).add_(f4, alpha=t_next)
        return torch.add(x, inner, alpha=h / 6)

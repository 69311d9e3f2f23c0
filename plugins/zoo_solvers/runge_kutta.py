"""Euler's and Heun's methods in t, and the classical Runge-Kutta method in log t."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.interfaces import Flow, GridSolver
from zoo_solvers.linear import combine, drift_and_gain, evaluation, field


class Euler(GridSolver):
    """Forward Euler in t, x' = x + h (drift x + gain V), h = t' - t: one evaluation a step.

    For a self-similar kernel this is DDIM: x' = D + (t'/t) (x - D), arXiv:2010.02502.
    """

    order = 1

    def step(self, flow: Flow, x: Tensor, t: float, t_next: float) -> Tensor:
        """Return x + h (drift x + gain V), shape (B, *)."""
        h = t_next - t
        drift, gain = drift_and_gain(flow.kernel, t)
        return combine([x], [1 + h * drift], [evaluation(flow)(x, t)], [h * gain])


class Heun(GridSolver):
    """Heun's trapezoidal method in t: an Euler step, then the mean of the slopes at its two ends.

        d = f(x, t),   x~ = x + h d,   x' = x + h (d + f(x~, t')) / 2,   h = t' - t

    Source: EDM, arXiv:2206.00364, algorithm 1. Two evaluations a step; the last Euler step of that
    algorithm, from t_min to 0, is the model's final denoising, so N = 18 there is 17 steps here.
    """

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


class RK4(GridSolver):
    """The classical Runge-Kutta method in u = log t, four evaluations a step.

        k1 = g(u, x),               k2 = g(u + h/2, x + h/2 k1),
        k3 = g(u + h/2, x + h/2 k2),  k4 = g(u + h, x + h k3),
        x' = x + h (k1 + 2 k2 + 2 k3 + k4) / 6,   g(u, x) = t f(x, t)

    The middle of a step in u is the geometric mean of its times.
    """

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

"""Euler: x' = x + (t' - t) f(x, t), order 1, one evaluation a step.

For a self-similar kernel this is DDIM: x' = D + (t'/t) (x - D), arXiv:2010.02502.
"""

from __future__ import annotations

from torch import Tensor

from zoo.interfaces import Flow, GridSolver
from zoo_solvers.linear import combine, drift_and_gain, evaluation


class Euler(GridSolver):
    """Forward Euler in t; f = drift x + gain V."""

    order = 1

    def step(self, flow: Flow, x: Tensor, t: float, t_next: float) -> Tensor:
        """Return x + h (drift x + gain V), shape (B, *)."""
        h = t_next - t
        drift, gain = drift_and_gain(flow.kernel, t)
        return combine([x], [1 + h * drift], [evaluation(flow)(x, t)], [h * gain])

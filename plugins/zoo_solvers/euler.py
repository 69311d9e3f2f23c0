"""Euler: x' = x + (t' - t) f(x, t), order 1, one evaluation a step.

For a self-similar kernel this is DDIM: x' = D + (t'/t) (x - D), arXiv:2010.02502.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from zoo.interfaces import Flow
from zoo.interfaces.solver import StepCallback
from zoo_solvers.linear import field_along
from zoo_solvers.plan import mix
from zoo_solvers.walk import GridSolver, held


class Euler(GridSolver):
    """Forward Euler in t."""

    order = 1

    def steps_along(self, flow: Flow, x: Tensor, times: list[float], after: StepCallback) -> Tensor:
        """Return x at times[-1]."""
        field = field_along(flow, times)
        for i, (t, t_next) in enumerate(pairwise(times)):
            h, value = t_next - t, field.value(x, t)
            x = held(x, value, len(times) - 1)
            x = mix([x], [1 + h * field.pull[i]], [value], [h * field.push[i]])
            after(i, t_next, x)
        return x

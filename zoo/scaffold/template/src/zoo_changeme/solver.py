"""A solver: the explicit midpoint method in u = log t, order 2, two evaluations a step.

dx/du = t f(x, t), which changes slowly where f itself grows as t falls.
"""

import math

from torch import Tensor
from zoo.interfaces import Flow, Solver
from zoo.interfaces.solver import StepCallback


class ChangemeSolver(Solver):
    """Half an Euler step to the middle, then a whole step with the slope found there."""

    order = 2

    def integrate(
        self,
        flow: Flow,
        x: Tensor,
        t_from: float,
        t_to: float,
        *,
        steps: int,
        callback: StepCallback | None = None,
    ) -> Tensor:
        """Return x at t_to, shape (B, *), float64."""
        h = math.log(t_to / t_from) / steps
        t = t_from
        for i in range(steps):
            middle = t * math.exp(h / 2)
            half = x + h / 2 * t * flow.field(x, t)
            x = x + h * middle * flow.field(half, middle)
            t = t_from * math.exp((i + 1) * h)
            if callback is not None:
                callback(i, t, x)
        return x

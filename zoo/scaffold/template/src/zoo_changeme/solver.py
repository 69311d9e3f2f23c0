"""A solver: the explicit midpoint method in u = log t, order 2, two evaluations a step.

dx/du = t f(x, t), which changes slowly where f itself grows as t falls.
"""

import math

from torch import Tensor
from zoo.interfaces import Flow, GridSolver


class ChangemeSolver(GridSolver):
    """Half an Euler step to the middle, then a whole step with the slope found there."""

    order, stages = 2, 2

    def step(self, flow: Flow, x: Tensor, t: float, t_next: float) -> Tensor:
        """Return x at t_next from x at t, shape (B, *)."""
        h, middle = math.log(t_next / t), math.sqrt(t * t_next)
        half = x + h / 2 * t * flow.field(x, t)
        return x + h * middle * flow.field(half, middle)

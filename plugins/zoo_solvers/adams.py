"""Adams-Bashforth in log t: x' = x + integral of the polynomial through the last t f(x, t).

Variable steps; Hairer, Norsett and Wanner, Solving ODEs I, section III.5. The first step is
corrected by the trapezoidal rule once the second slope is known, so no evaluation is added.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.interfaces import Flow
from zoo_solvers import grids
from zoo_solvers.coefficients import Classical, Line, bashforth, corrected, moulton
from zoo_solvers.linear import evaluation, field_along
from zoo_solvers.multistep import Multistep, Value


class Adams(Multistep):
    """Weights of dx/du = t f(x, t), u = log t; f = pull x + push V, V one evaluation.

    Options:
        grid, rho, pivot, width: as for the exponential solvers; "edm" by default.
    """

    def __init__(
        self,
        *,
        grid: str | Sequence[float] = "edm",
        rho: float = 7.0,
        pivot: float = 3.0,
        width: float = 0.5,
    ) -> None:
        super().__init__(grids.named(grid, rho=rho, pivot=pivot, width=width))

    def value(self, flow: Flow) -> Value:
        """Return V, which f is a sum of x and of; its factors are in the weights."""
        return evaluation(flow)

    def line(self, flow: Flow, times: Tensor, share: Tensor | None) -> Line:
        """Return the clock log t, with dx/du = t f(x, t) as a sum of x and V."""
        del share
        field = field_along(flow, times.tolist())
        pull, push = (times * torch.tensor(v, dtype=times.dtype) for v in (field.pull, field.push))
        return Classical(times.log(), pull, push)


class AB2(Adams):
    """Two values."""

    order = 2

    def table(self, line: Line) -> Tensor:
        """Return the weights of the slopes at i, i - 1."""
        return corrected(line, bashforth(line, 2), moulton(line, 2), until=1)


class AB3(Adams):
    """Three values."""

    order = 3

    def table(self, line: Line) -> Tensor:
        """Return the weights of the slopes at i, i - 1, i - 2."""
        return corrected(line, bashforth(line, 3), moulton(line, 2), until=1)

"""Adams-Bashforth in log t: x' = x + integral of the polynomial through the last t f(x, t).

Variable steps; Hairer, Norsett and Wanner, Solving ODEs I, section III.5. The first step is
corrected by the trapezoidal rule once the second slope is known, so no evaluation is added.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from zoo.interfaces import Flow
from zoo_solvers import grids
from zoo_solvers.coefficients import Classical, Line, bashforth, corrected, moulton
from zoo_solvers.linear import slope
from zoo_solvers.multistep import Multistep, Value


class Adams(Multistep):
    """Weights of dx/du = t f(x, t), u = log t.

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
        """Return f(x, t); the factor t is in the weights."""
        return slope(flow)

    def line(self, flow: Flow, times: Tensor, share: Tensor | None) -> Line:
        """Return the clock log t."""
        del flow, share
        return Classical(times.log())


class AB2(Adams):
    """Two values."""

    order = 2

    def table(self, line: Line) -> Tensor:
        """Return the weights of the field at i, i - 1."""
        return times_t(line, corrected(line, bashforth(line, 2), moulton(line, 2), until=1))


class AB3(Adams):
    """Three values."""

    order = 3

    def table(self, line: Line) -> Tensor:
        """Return the weights of the field at i, i - 1, i - 2."""
        return times_t(line, corrected(line, bashforth(line, 3), moulton(line, 2), until=1))


def times_t(line: Line, table: Tensor) -> Tensor:
    """Return weights of f(x, t) from those of t f(x, t), shape (steps, values)."""
    table = table.clone()
    for back in range(table.shape[1]):
        table[back:, back] *= line.clock[: line.steps - back].exp()
    return table

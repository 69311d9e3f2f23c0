"""What every solver here does before its first step and after its last."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Flow, Solver
from zoo.interfaces.checks import all_finite
from zoo.interfaces.solver import StepCallback
from zoo.sampling.arguments import whole
from zoo.sampling.batching import keep_freed_memory
from zoo_solvers import grids

# A walk of more steps adds small ones: its state is float64, whatever the network's answers are.
FEW_STEPS = 64
# Per step and relative to t: nodes nearer to each other than this may be the same number. One Euler
# step is then right to rounding.
_NO_WAY = 1e-14


class CheckedSolver(Solver):
    """Checks the input and the result; a leaf writes `walk` and finds its arguments sound."""

    @abstractmethod
    def walk(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, after: StepCallback
    ) -> Tensor:
        """Return x at t_to, of any float dtype; x is finite float64, t_from != t_to, steps >= 1."""

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
        """Return x at t_to, shape (B, *), float64; steps = 0 or t_from = t_to returns x.

        Raises:
            ZooError: steps is negative or not a whole number, a time lies outside the kernel's
                interval, x is not finite, or the state ceases to be (the message names t).
        """
        steps = whole("steps", steps, 0)
        try:
            t_from, t_to = float(t_from), float(t_to)
        except (TypeError, ValueError) as error:
            raise ZooError(f"t = {t_from!r} to {t_to!r}; expected two numbers") from error
        flow.kernel.check_time(t_from)
        flow.kernel.check_time(t_to)
        if not all_finite(x):
            raise ZooError(f"x is not finite at t = {t_from:g}, where the solver starts")
        keep_freed_memory()
        x = x.to(torch.float64)
        if steps == 0 or t_from == t_to or not len(x):
            return x
        after = callback or _nothing
        if abs(t_to - t_from) <= _NO_WAY * steps * max(abs(t_from), abs(t_to)):
            result = x + (t_to - t_from) * flow.field(x, t_from)
            after(0, t_to, result)
        else:
            result = self.walk(flow, x, t_from, t_to, steps, after)
        if not all_finite(result):
            self._explain(flow, x, t_from, t_to, steps)
        return result.to(torch.float64)

    def _explain(self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int) -> None:
        """Walk again, checking every evaluation, to say at which t the state was lost."""

        def after(i: int, t: float, x: Tensor) -> None:
            del i
            if not all_finite(x):
                raise ZooError(f"the state is not finite at t = {t:g}; use more steps")

        guard, flow.guard = flow.guard, True
        try:
            self.walk(flow, x, t_from, t_to, steps, after)
        finally:
            flow.guard = guard
        raise ZooError(f"the state was not finite between t = {t_from:g} and t = {t_to:g}")


class GridSolver(CheckedSolver):
    """A fixed-step method on a grid of times; a leaf writes `steps_along`.

    Options:
        grid: "edm" (uniform in level^(1/rho)), "angle" (in atan(level / pivot)), "log" (in log
            level), "radius" (in level), "log-time", "time", or a list of decreasing levels.
        rho: exponent of the EDM grid, 7 in arXiv:2206.00364.
        pivot: level around which the angle grid is densest.
    """

    def __init__(
        self,
        *,
        grid: str | Sequence[float] = "edm",
        rho: float = 7.0,
        pivot: float = 3.0,
        width: float = 0.5,
    ) -> None:
        self.grid = grids.named(grid, rho=rho, pivot=pivot, width=width)
        self._known: tuple[FieldKernel, tuple[float, float, int], list[float]] | None = None

    def times(self, kernel: FieldKernel, t_from: float, t_to: float, steps: int) -> list[float]:
        """Return the grid; the last one is kept."""
        key = (t_from, t_to, steps)
        if self._known is None or self._known[0] is not kernel or self._known[1] != key:
            self._known = (kernel, key, self.grid.times(kernel, *key).tolist())
        return self._known[2]

    def walk(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, after: StepCallback
    ) -> Tensor:
        """Return x at t_to, along the grid."""
        return self.steps_along(flow, x, self.times(flow.kernel, t_from, t_to, steps), after)

    @abstractmethod
    def steps_along(self, flow: Flow, x: Tensor, times: list[float], after: StepCallback) -> Tensor:
        """Return x at times[-1], having started at times[0]; call after(i, t, x) per step."""


def held(x: Tensor, value: Tensor, steps: int) -> Tensor:
    """Return the state x in the digits that a walk of so many steps has, `value` being at x."""
    return x.to(value.dtype) if steps <= FEW_STEPS else x


def _nothing(i: int, t: float, x: Tensor) -> None:
    """Stand in for a callback that was not given."""

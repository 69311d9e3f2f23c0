"""The solver: integrates the ODE dx/dt = f(x, t), in either direction.

`Solver.integrate` checks what it is given and what comes out. `GridSolver` adds the loop over a
grid of times: the author of a fixed-step method writes one step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from zoo.config.part import Part, called, described
from zoo.errors import ZooError, brief
from zoo.interfaces.checks import all_finite, check_integer, describe_value
from zoo.interfaces.flow import Flow
from zoo.interfaces.grids import Grid, GridSpec, build_grid
from zoo.interfaces.kernel import FieldKernel
from zoo.numerics.memory import keep_freed_memory

# Called after each step: (number of the step, time reached, state there, (B, *)).
StepCallback = Callable[[int, float, Tensor], None]

# More steps than these are small ones: their state is float64, whatever the network's digits.
FEW_STEPS = 64
# Per step and relative to t: times nearer to each other than this may be the same number. One Euler
# step is then right to rounding.
_SAME_TIME = 1e-14


def _is_abstract(method: object) -> bool:
    return getattr(method, "__isabstractmethod__", False)


def _unused(self: Solver, *_: Any) -> Any:
    """Stand for a method that no other calls."""
    raise AssertionError(f"{type(self).__name__} needs no such method")


class Solver(ABC):
    """A numerical method. A component is called as component(**options).

    A leaf writes `_integrate`, and finds its arguments checked; or, for a method of fixed steps,
    derives from `GridSolver` and writes `step`.

    Attributes:
        order: global order of convergence in the number of steps.
        couples_samples: a sample's steps depend on the batch it is in (one step size for all);
            such a solver is run on fixed groups, so that samples stay reproducible.
        own_steps: the only number of steps, as `to_data` counts them, of a solver that is made for
            one; None for any.
    """

    part: Part | None = None
    order: int
    couples_samples: bool = False
    own_steps: int | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Ask for one method: `_integrate`, unless a class writes `integrate` itself."""
        super().__init_subclass__(**options)
        if "integrate" in vars(cls) and _is_abstract(cls._integrate):
            cls._integrate = _unused  # type: ignore[assignment,method-assign]

    def __repr__(self) -> str:
        return described(self, order=getattr(self, "order", None))

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

        Never evaluates the field outside the interval between t_from and t_to.

        Args:
            flow: the ODE.
            x: the state at t_from, shape (B, *); it is left as it was.
            t_from: the time of x, within the kernel's times.
            t_to: the time of the result, before or after t_from.
            steps: number of steps; adaptive methods take it as a hint.
            callback: called as callback(i, t, x) after step i, with x in the dtype that the
                solver holds it in.

        Raises:
            ZooError: steps is negative or not a whole number, a time lies outside the kernel's
                interval, x is not finite, or the state ceases to be (the message names t).
        """
        steps = check_integer("steps", steps, 0)
        try:
            t_from, t_to = float(t_from), float(t_to)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise ZooError(f"t = {brief(t_from)} to {brief(t_to)}; expected two numbers") from error
        if not hasattr(flow, "kernel"):
            raise ZooError(f"flow is {describe_value(flow)}; expected a zoo.interfaces.Flow")
        if not isinstance(x, Tensor) or not x.ndim or not x.is_floating_point():
            raise ZooError(f"x is {describe_value(x)}; expected a tensor (B, *) of real numbers")
        flow.kernel.check_time(t_from)
        flow.kernel.check_time(t_to)
        if not all_finite(x):
            raise ZooError(f"x is not finite at t = {t_from:g}, where the solver starts")
        keep_freed_memory()
        x = x.to(torch.float64)
        if steps == 0 or t_from == t_to or not len(x):
            return x
        callback = callback or (lambda *_: None)
        if abs(t_to - t_from) <= _SAME_TIME * steps * max(abs(t_from), abs(t_to)):
            end = x + (t_to - t_from) * flow.field(x, t_from)
            callback(0, t_to, end)
        else:
            end = self._integrate(flow, x, t_from, t_to, steps, callback)
        if not all_finite(end):
            self._explain(flow, x, t_from, t_to, steps)
        return end.to(torch.float64)

    @abstractmethod
    def _integrate(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, callback: StepCallback
    ) -> Tensor:
        """Return x at t_to, of any float dtype; x is finite float64, t_from != t_to, steps >= 1."""

    def _explain(self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int) -> None:
        """Integrate again, checking every evaluation, to say at which t the state was lost."""

        def check(i: int, t: float, x: Tensor) -> None:
            del i
            if not all_finite(x):
                raise ZooError(f"the state is not finite at t = {t:g}; use more steps")

        guard, flow.guard = flow.guard, True
        try:
            self._integrate(flow, x, t_from, t_to, steps, check)
        finally:
            flow.guard = guard
        raise ZooError(f"the state was not finite between t = {t_from:g} and t = {t_to:g}")

    def to_data(
        self, flow: Flow, x: Tensor, *, steps: int, callback: StepCallback | None = None
    ) -> Tensor:
        """Return data from x at t_max, shape (B, *): steps - 1 steps to t_min, then one to t = 0.

        The last step is the denoiser at t_min, or Euler's where the kernel's field has none
        (EDM, arXiv:2206.00364, algorithm 1). A solver that has a better use for the last
        evaluation writes this anew. callback(i, t, x) is called after every step but the last.
        """
        kernel, y = flow.kernel, x
        t = kernel.t_max if steps == 1 else kernel.t_min
        if steps > 1:
            y = self.integrate(flow, x, kernel.t_max, t, steps=steps - 1, callback=callback)
        return flow.denoise(y, t) if kernel.affine else y - t * flow.field(y, t)

    def times(self, kernel: FieldKernel, t_from: float, t_to: float, steps: int) -> Tensor:
        """Return the times that `integrate` steps through, float64, shape (steps + 1,).

        Where the noise level of a sample is random, these are the times of a typical sample.

        Raises:
            ZooError: the solver chooses its own steps.
        """
        del kernel, t_from, t_to, steps
        raise ZooError(f"{called(self)} chooses its own steps: it has no grid of times")

    def evaluations(self, steps: int) -> int:
        """Return the number of field evaluations (NFE) of `integrate` with so many steps.

        Raises:
            ZooError: the solver chooses its own steps.
        """
        del steps
        raise ZooError(f"{called(self)} chooses its own steps: its evaluations are not fixed")


class GridSolver(Solver):
    """A fixed-step method on a grid of times; a leaf writes `step`.

    Options:
        grid: "edm", uniform in level^(1/rho); "focus", in asinh(log(level / pivot) / width);
            "angle", in atan(level / pivot); "log", in log level; "radius", in level; "log-time",
            in log t; "time", in t. With options {"use": "edm", "rho": 5}, or {"use": "focus",
            "pivot": 0.07, "width": 2}; by default rho is 7, pivot 3 and width 0.5. Levels above
            160 are one step, but for "angle" and {"use": "edm", "cap": 4000}. Or a list of
            decreasing noise levels.

    Attributes:
        stages: evaluations of the field per step.
        grid: the grid.
    """

    stages: int = 1
    grid: Grid
    # What the batches of one model share. It is not pickled: it holds what it was worked out from.
    _last: tuple[FieldKernel, tuple[float, float, int], list[float]] | None = None

    def __init__(self, *, grid: GridSpec = "edm") -> None:
        self.grid = build_grid(grid)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_last"}

    def __init_subclass__(cls, **options: Any) -> None:
        """Ask for one method: `step`, unless a class writes `states` itself."""
        super().__init_subclass__(**options)
        if "states" in vars(cls) and _is_abstract(cls.step):
            cls.step = _unused  # type: ignore[assignment,method-assign]

    @abstractmethod
    def step(self, flow: Flow, x: Tensor, t: float, t_next: float) -> Tensor:
        """Return the state at t_next, shape (B, *), from x at t, which is left as it was."""

    def states(self, flow: Flow, x: Tensor, times: list[float]) -> Iterator[Tensor]:
        """Yield the state after every step, shape (B, *), from x at times[0].

        A method that remembers earlier steps overrides this instead of `step`.
        """
        for t, t_next in pairwise(times):
            x = self.step(flow, x, t, t_next)
            yield x

    def times(self, kernel: FieldKernel, t_from: float, t_to: float, steps: int) -> Tensor:
        """Return the times that `integrate` steps through, float64, shape (steps + 1,)."""
        return self.grid.times(kernel, t_from, t_to, steps)

    def times_kept(
        self, kernel: FieldKernel, t_from: float, t_to: float, steps: int
    ) -> list[float]:
        """Return `times` as numbers: those of the last call are kept, batches share them."""
        ends = (t_from, t_to, steps)
        last = self._last  # another thread may put its own there meanwhile
        if last is None or last[0] is not kernel or last[1] != ends:
            last = self._last = (kernel, ends, self.times(kernel, *ends).tolist())
        return last[2]

    def evaluations(self, steps: int) -> int:
        """Return the number of field evaluations (NFE) of `integrate` with so many steps."""
        return self.stages * steps

    def _integrate(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, callback: StepCallback
    ) -> Tensor:
        times = self.times_kept(flow.kernel, t_from, t_to, steps)
        # What a state of few steps loses in the network's digits is far less than the steps' error.
        x = x.to(flow.state_dtype) if steps <= FEW_STEPS else x
        for i, state in enumerate(self.states(flow, x, times)):
            callback(i, times[i + 1], state)
            x = state
        return x

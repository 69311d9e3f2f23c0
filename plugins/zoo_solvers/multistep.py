"""One evaluation a step: x_{i+1} is a sum of the last states and the last values."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, Flow
from zoo.interfaces.solver import StepCallback
from zoo_solvers.coefficients import Line
from zoo_solvers.grids import Grid
from zoo_solvers.plan import Number, Plan, make_plan, mix
from zoo_solvers.walk import CheckedSolver

Value = Callable[[Tensor, Number], Tensor]


class Tabulated(CheckedSolver):
    """A method given by a grid, the line along it, and a table of weights."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._known: tuple[FieldKernel, tuple[float, float, int, float | None], Plan] | None = None

    @abstractmethod
    def value(self, flow: Flow) -> Value:
        """Return the function of (x, t) whose values the weights multiply; one evaluation."""

    @abstractmethod
    def line(self, flow: Flow, times: Tensor, share: Tensor | None) -> Line:
        """Return the line along times, shape (steps + 1,), or (steps + 1, B) with a share."""

    @abstractmethod
    def table(self, line: Line) -> Tensor:
        """Return the weights of the slopes in every step, shape (steps, count, ...)."""

    def share(self, kernel: FieldKernel, x: Tensor, value: Tensor, t: float) -> Tensor | None:
        """Return each sample's own noise level over the typical one, (B,); None if unneeded."""
        del kernel, x, value, t
        return None

    def plan(
        self,
        flow: Flow,
        t_from: float,
        t_to: float,
        steps: int,
        share: Tensor | None,
        like: Tensor,
    ) -> Plan:
        """Return the plan for values like `like`; the last one is kept, that without a share."""
        kernel, ends = flow.kernel, (t_from, t_to, steps)
        key = (*ends, flow.sigma_data)
        known = self._known
        if known is None or known[0] is not kernel or known[1] != key:
            times = self.grid.times(kernel, *ends)
            plan = self._plan(flow, times, None, times.tolist(), like)
            self._known = known = (kernel, key, plan)
        if share is None:
            return known[2]
        times = self.grid.times(kernel, *ends, share)
        return self._plan(flow, times, share, known[2].nominal, like)

    def _plan(
        self, flow: Flow, times: Tensor, share: Tensor | None, nominal: list[float], like: Tensor
    ) -> Plan:
        line = self.line(flow, times, share)
        moments = nominal if share is None else flow.moments(times)
        return make_plan(moments, nominal, *line.split(self.table(line)), like)


class Multistep(Tabulated):
    """The walk itself; a leaf says of what, along what, and with what weights."""

    def walk(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, after: StepCallback
    ) -> Tensor:
        """Return x at t_to."""
        value = self.value(flow)
        latest = value(x, t_from)
        share = self.share(flow.kernel, x, latest, t_from)
        plan = self.plan(flow, t_from, t_to, steps, share, latest)
        states = deque([x], maxlen=len(plan.states[0]))
        values = deque([latest], maxlen=len(plan.values[0]))
        # Not where it would become the state itself; accelerators keep freed memory by themselves.
        reuse = latest.dtype != x.dtype and x.device.type == "cpu"
        work = torch.empty_like(latest) if reuse else None
        for i in range(steps):
            if i:
                values.appendleft(value(states[0], plan.times[i]))
            states.appendleft(mix(states, plan.states[i], values, plan.values[i], work))
            after(i, plan.nominal[i + 1], states[0])
        return states[0]

"""One evaluation a step: x_{i+1} is a sum of the last states and the last values."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, Flow
from zoo.interfaces.solver import StepCallback
from zoo_solvers.coefficients import Line, Weights
from zoo_solvers.grids import Grid
from zoo_solvers.ladder import Ladder
from zoo_solvers.linear import share_of
from zoo_solvers.plan import Number, Plan, make_plan, mix
from zoo_solvers.walk import FEW_STEPS, CheckedSolver, held

Value = Callable[[Tensor, Number], Tensor]


@dataclass
class _Known:
    """What is kept of the last walk, for one of the same kernel and key."""

    kernel: FieldKernel
    key: tuple[float, float, int, float | None]
    plan: Plan
    typical: float | None
    ladder: Ladder | None = None


class Tabulated(CheckedSolver):
    """A method given by a grid, the line along it, and a table of weights.

    The state of a walk of at most 64 steps has the digits of the values, float32 for most networks:
    what it loses is of the order of what they have lost, and far less than the steps' own error.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._known: _Known | None = None

    @abstractmethod
    def value(self, flow: Flow) -> Value:
        """Return the function of (x, t) whose values the weights multiply; one evaluation."""

    @abstractmethod
    def line(self, flow: Flow, times: Tensor, share: Tensor | None) -> Line:
        """Return the line along times, shape (steps + 1,), or (steps + 1, B) with a share."""

    @abstractmethod
    def table(self, line: Line) -> Tensor:
        """Return the weights of the slopes in every step, shape (steps, count, ...)."""

    def typical(self, kernel: FieldKernel, t: float) -> float | None:
        """Return the typical |x - value| at t where samples walk by levels of their own."""
        del kernel, t
        return None

    def plan(
        self, flow: Flow, x: Tensor, value: Tensor, t_from: float, t_to: float, steps: int
    ) -> Plan:
        """Return the plan of a walk from x, with `value` there; what all walks share is kept."""
        kernel, ends = flow.kernel, (t_from, t_to, steps)
        key, known = (*ends, flow.sigma_data), self._known
        if known is None or known.kernel is not kernel or known.key != key:
            times = self.grid.times(kernel, *ends)
            nominal = times.tolist()
            plan = make_plan(nominal, nominal, self._weights(flow, times, None), x, value)
            self._known = known = _Known(kernel, key, plan, self.typical(kernel, t_from))
        if known.typical is None:
            return known.plan

        share = share_of(known.typical, x, value)
        times_of = partial(self.grid.times, kernel, *ends)
        # Many steps work out the weights of their own samples: few for each of their evaluations.
        if steps > FEW_STEPS or share.requires_grad:
            # Where the state is lost its times are sound and its weights are not: it stays lost.
            times = times_of(share.nan_to_num(1.0))
            weights = self._weights(flow, times, share)
        else:
            if known.ladder is None or known.ladder.device != share.device:
                known.ladder = Ladder(times_of, partial(self._weights, flow), share.device)
            times, weights = known.ladder.open(share)
        return make_plan(flow.moments(times), known.plan.nominal, weights, x, value)

    def _weights(self, flow: Flow, times: Tensor, share: Tensor | None) -> Weights:
        line = self.line(flow, times, share)
        return line.weights_by(self.table(line))


class Multistep(Tabulated):
    """The walk itself; a leaf says of what, along what, and with what weights."""

    def walk(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, after: StepCallback
    ) -> Tensor:
        """Return x at t_to."""
        value = self.value(flow)
        latest = value(x, t_from)
        x = held(x, latest, steps)
        plan = self.plan(flow, x, latest, t_from, t_to, steps)
        states = deque([x], maxlen=len(plan.states[0]))
        values = deque([latest], maxlen=len(plan.values[0]))
        # Not where it would become the state itself; accelerators keep freed memory by themselves.
        reuse = latest.dtype != x.dtype and x.device.type == "cpu"
        work = torch.empty_like(latest) if reuse and not latest.requires_grad else None
        for i in range(steps):
            if i:
                values.appendleft(value(states[0], plan.times[i]))
            states.appendleft(mix(states, plan.states[i], values, plan.values[i], work))
            after(i, plan.nominal[i + 1], states[0])
        return states[0]

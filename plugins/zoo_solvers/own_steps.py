"""Walks on which every sample has its own time and its own step.

None depends on its neighbours: each is at its own place on the clock (`clock`), tries a step of its
own size, and leaves the batch when it has arrived. A leaf says what is known of a sample on its
way, how a step is tried, and what it costs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import Flow
from zoo.interfaces.checks import all_finite
from zoo.interfaces.solver import StepCallback
from zoo_solvers.checks import count, positive, scale_of
from zoo_solvers.clock import LEAST_STEP
from zoo_solvers.walk import CheckedSolver


class Walk(ABC):
    """The samples still under way, B of all that started.

    Attributes:
        way: what the clock of every sample runs, (samples,).
        place: which samples these are, (B,).
        left: what their clocks have left, (B,).
        step: of the clock, to try next, (B,).
    """

    def __init__(self, way: Tensor, step: Tensor) -> None:
        self.way, self.left, self.step = way, way, step
        self.place = torch.arange(len(way), device=way.device)

    @abstractmethod
    def time(self) -> Tensor:
        """Return t of each sample, (B,), never outside the walk."""

    @abstractmethod
    def state(self) -> Tensor:
        """Return x of each sample, (B, *)."""

    @abstractmethod
    def advance(self) -> None:
        """Try one step of every sample; those whose error is too large stay and step shorter."""

    def keep(self, some: Tensor) -> None:
        """Go on with `some` of the samples alone, (B,) of bool."""
        self.place, self.left, self.step = self.place[some], self.left[some], self.step[some]


class OwnSteps(CheckedSolver):
    """A solver with a step size of each sample's own.

    Attributes:
        name: of the solver, for errors.
        tolerance: what to raise where the error allowed is too small, for errors.
        cost: evaluations that a step takes, accepted or not; the start takes one.
    """

    name: str
    tolerance: str
    cost: int

    def __init__(self, max_evaluations: int, scale: float | None) -> None:
        self._max_evaluations = count("max_evaluations", max_evaluations)
        self._scale = None if scale is None else positive("scale", scale)

    @abstractmethod
    def start(
        self, flow: Flow, x: Tensor, ends: tuple[float, float], steps: int, scale: float
    ) -> Walk:
        """Return the walk of x before its first step; `scale` is that of the data."""

    def walk(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, after: StepCallback
    ) -> Tensor:
        """Return x at t_to; the callback's t is that of the sample furthest behind.

        Raises:
            ZooError: a sample's step underflows, or its evaluations run out; t is named.
        """
        try:
            return self._walk(flow, x, (t_from, t_to), steps, after)
        finally:
            flow.rows = None

    def _walk(
        self, flow: Flow, x: Tensor, ends: tuple[float, float], steps: int, after: StepCallback
    ) -> Tensor:
        walk = self.start(flow, x, ends, steps, scale_of(flow, self._scale))
        if not all_finite(walk.step):
            raise ZooError(f"{self.name} cannot start: the field at t = {ends[0]:g} is not finite")
        taken = 0
        while len(walk.place):
            self._check(walk, 1 + self.cost * taken)
            flow.rows = walk.place
            walk.advance()
            x = x.index_copy(0, walk.place, walk.state())
            after(taken, float(walk.time().detach()[walk.left.argmax()]), x)
            under_way = ~(walk.left <= 0)  # what is lost has not arrived
            if not bool(under_way.all()):
                walk.keep(under_way)
            taken += 1
        return x

    def _check(self, walk: Walk, evaluations: int) -> None:
        lost = ~(walk.step >= LEAST_STEP * walk.way[walk.place])
        if bool(lost.any()):
            raise ZooError(
                f"{self.name}'s step underflows at t = {float(walk.time()[lost][0]):g}: the field "
                f"there is not finite, or too rough; raise {self.tolerance}"
            )
        if evaluations + self.cost > self._max_evaluations:
            raise ZooError(
                f"{self.name} has used {evaluations} of max_evaluations = {self._max_evaluations} "
                f"at t = {float(walk.time()[walk.left.argmax()]):g}; raise it, or raise "
                f"{self.tolerance}"
            )

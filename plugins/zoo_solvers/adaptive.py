"""Adaptive integration in which every sample has its own time and its own step.

No sample depends on its neighbours: each tries a step of its own size and leaves the batch when it
has arrived. The variable of the steps is log level with its sign turned, up to a cap: with
psi = asinh(scale alpha / sigma), alpha and sigma those of the kernel's linear part,

    tau = log(sinh psi + scale / LEVEL_CAP)

A leaf says what is known of a sample on its way, how a step is tried, and what it costs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import (
    LEVEL_CAP,
    Flow,
    Solver,
    StepCallback,
    all_finite,
    check_integer,
    check_positive,
)
from zoo_solvers.linear import level_ratio, marginal, scale_of, typical_noise

# Where the field is flat an error estimate sees nothing coming: no step of tau is longer.
LONGEST_STEP = 1.5
# A step below this fraction of the total is lost in rounding.
LEAST_STEP = 1e-10


class LogLevel:
    """The variable tau of B samples, each at its own level.

    `remaining`, shape (B',), is what some samples have left of tau and `index`, shape (B',), which
    samples of the batch they are.

    Args:
        flow: the ODE.
        x: the samples (B, *) at the start, which have levels of their own.
        d: the denoiser there, (B, *).
        ends: t where the integration begins, and where it ends.
        scale: standard deviation of the data, in data units.

    Attributes:
        total: what every sample has to go, (B,).
        scale: of the data.
        shift: scale / LEVEL_CAP.
        sign: 1 where t decreases, -1 where it grows.
    """

    def __init__(
        self, flow: Flow, x: Tensor, d: Tensor, ends: tuple[float, float], scale: float
    ) -> None:
        self.flow, self._kernel = flow, flow.kernel
        self.scale, self.shift = scale, scale / LEVEL_CAP
        t_from, self._to = ends
        typical = typical_noise(flow.kernel, t_from)
        self._ratio = x.new_ones(len(x)) if typical is None else level_ratio(typical, x, d)
        self._low, self._high = sorted(ends)
        alpha, sigma = marginal(flow.kernel, x.new_tensor(ends)[:, None])
        tau = (scale * alpha / (sigma * self._ratio) + self.shift).log()
        self._end = tau[1]
        self.total = (tau[0] - tau[1]).abs()
        self.sign = 1.0 if self._to < t_from else -1.0

    def sinh_psi(self, remaining: Tensor, index: Tensor) -> Tensor:
        """Return sinh psi = scale / level, the sample's own, shape (B',)."""
        tau = self._end[index] - self.sign * remaining
        return (tau.exp() - self.shift).clamp(min=0.0)

    def time(self, remaining: Tensor, index: Tensor) -> Tensor:
        """Return t, shape (B',), never outside the interval."""
        level = self.scale / (self.sinh_psi(remaining, index) * self._ratio[index])
        if self._kernel.affine_path:
            level = self._kernel.time_at(level).to(remaining)
        return torch.where(remaining > 0, level.clamp(self._low, self._high), self._to)

    def marginal(self, t: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha and the sample's own sigma at times t (B',), shapes (B',)."""
        alpha, sigma = marginal(self._kernel, t)
        return alpha, sigma * self._ratio[index]


class SamplesUnderWay(ABC):
    """The samples that have not arrived, B' of all that started.

    Attributes:
        total: what every sample of the batch has to go, in the variable of the steps, (B,).
        index: which samples these are, (B',).
        remaining: what they have left to go, (B',).
        step: to try next, (B',).
    """

    def __init__(self, total: Tensor, step: Tensor) -> None:
        self.total, self.remaining, self.step = total, total, step
        self.index = torch.arange(len(total), device=total.device)

    @abstractmethod
    def time(self) -> Tensor:
        """Return t of each sample, (B',), never outside the interval."""

    @abstractmethod
    def state(self) -> Tensor:
        """Return x of each sample, (B', *)."""

    @abstractmethod
    def advance(self) -> None:
        """Try one step of every sample; those whose error is too large stay and step shorter."""

    def keep(self, some: Tensor) -> None:
        """Go on with `some` of the samples alone, (B',) of bool."""
        self.index, self.remaining = self.index[some], self.remaining[some]
        self.step = self.step[some]


class AdaptiveSolver(Solver):
    """A solver with a step size of each sample's own.

    Attributes:
        name: of the solver, for errors.
        tolerance: the option to raise where the error allowed is too small, for errors.
        cost: evaluations that a step takes, accepted or not; the start takes one.
    """

    name: str
    tolerance: str
    cost: int

    def __init__(self, max_evaluations: int, scale: float | None) -> None:
        self._max_evaluations = check_integer("max_evaluations", max_evaluations, 1)
        self._scale = None if scale is None else check_positive("scale", scale)

    @abstractmethod
    def start(
        self, flow: Flow, x: Tensor, ends: tuple[float, float], steps: int, scale: float
    ) -> SamplesUnderWay:
        """Return the samples x before their first step; `scale` is that of the data."""

    def _integrate(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, callback: StepCallback
    ) -> Tensor:
        """Return x at t_to; the callback's t is that of the sample furthest behind.

        Raises:
            ZooError: a sample's step underflows, or its evaluations run out; t is named.
        """
        samples = self.start(flow, x, (t_from, t_to), steps, scale_of(flow, self._scale))
        if not all_finite(samples.step):
            raise ZooError(f"{self.name} cannot start: the field at t = {t_from:g} is not finite")
        taken = 0
        try:
            while len(samples.index):
                self._check(samples, 1 + self.cost * taken)
                flow.rows = samples.index
                samples.advance()
                x = x.index_copy(0, samples.index, samples.state())
                last = samples.remaining.argmax()
                callback(taken, float(samples.time().detach()[last]), x)
                under_way = ~(samples.remaining <= 0)  # what is lost has not arrived
                if not bool(under_way.all()):
                    samples.keep(under_way)
                taken += 1
        finally:
            flow.rows = None
        return x

    def _check(self, samples: SamplesUnderWay, evaluations: int) -> None:
        lost = ~(samples.step >= LEAST_STEP * samples.total[samples.index])
        if bool(lost.any()):
            raise ZooError(
                f"{self.name}'s step underflows at t = {float(samples.time()[lost][0]):g}: the "
                f"field there is not finite, or too rough; raise {self.tolerance}"
            )
        if evaluations + self.cost > self._max_evaluations:
            t = float(samples.time()[samples.remaining.argmax()])
            raise ZooError(
                f"{self.name} has used {evaluations} of max_evaluations = {self._max_evaluations} "
                f"at t = {t:g}; raise it, or raise {self.tolerance}"
            )

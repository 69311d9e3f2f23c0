"""Dormand-Prince 5(4) in log t, with a step size of its own for every sample.

With u = log t the ODE is dx/du = t f(x, t), for self-similar kernels x - D, which is smooth over
the many decades of t. A step of size h is accepted where

    err = rms((x5 - x4) / (atol + rtol max(|x|, |x5|))) <= 1,   h <- h clamp(0.9 err^(-1/5), 0.2, 5)

Each sample has its own u, h and err, so its result does not depend on its neighbours; samples
that have arrived leave the batch. The pair: Dormand and Prince, J. Comput. Appl. Math. 6 (1980)
19; the controller: Hairer, Norsett and Wanner, Solving ODEs I, section II.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import Flow, over
from zoo.interfaces.solver import StepCallback
from zoo_solvers.checks import count, positive
from zoo_solvers.walk import CheckedSolver

NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
WEIGHTS = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)

# Where the field is flat the error estimate sees nothing coming: no step passes over a factor
# of e^1.5 in t.
LONGEST_STEP = 1.5

# A step below this share of the interval is lost in rounding.
LEAST_STEP = 1e-10


def combine(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    """Return the sum of weights[i] slopes[i]."""
    total = slopes[0] * weights[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        if weight:
            total.add_(slope, alpha=weight)
    return total


def per_sample_rms(x: Tensor) -> Tensor:
    """Return the root mean square over all but the first dimension, shape (B,)."""
    return x.flatten(1).square().mean(dim=1).sqrt()


@dataclass
class _Batch:
    """The samples still under way: state, dx/du, |log t| left to go, next step, place."""

    x: Tensor
    slope: Tensor
    left: Tensor
    step: Tensor
    place: Tensor

    def under_way(self) -> _Batch:
        """Return the samples that have not arrived."""
        some = self.left > 0
        return _Batch(*(v[some] for v in (self.x, self.slope, self.left, self.step, self.place)))


class _LogTime:
    """dx/du of a flow at a distance `left` >= 0 in |u| from the end, per sample."""

    def __init__(self, flow: Flow, t_from: float, t_to: float) -> None:
        self.flow, self.span = flow, abs(math.log(t_to / t_from))
        self._to, self._sign = t_to, math.copysign(1.0, t_to - t_from)
        self._low, self._high = min(t_from, t_to), max(t_from, t_to)

    def time(self, left: Tensor) -> Tensor:
        """Return t, shape (B,), never outside the interval."""
        return (-self._sign * left).exp().mul(self._to).clamp(self._low, self._high)

    def slope(self, x: Tensor, left: Tensor) -> Tensor:
        """Return dx/d|u|, shape (B, *)."""
        t = self.time(left)
        return self.flow.field(x, t) * over(self._sign * t, x)


class Dopri5(CheckedSolver):
    """Adaptive, per sample; `steps` only sets the first step, the interval / steps.

    Options:
        rtol, atol: tolerances per step, relative and in data units.
        max_evaluations: bound on a sample's evaluations; running into it is an error.
    """

    order = 5

    def __init__(
        self, *, rtol: float = 1e-4, atol: float = 1e-4, max_evaluations: int = 10_000
    ) -> None:
        self._rtol, self._atol = positive("rtol", rtol), positive("atol", atol)
        self._max_evaluations = count("max_evaluations", max_evaluations)

    def walk(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, after: StepCallback
    ) -> Tensor:
        """Return x at t_to; the callback's t is that of the sample furthest behind.

        Raises:
            ZooError: a sample's step underflows, or its evaluations run out; t is named.
        """
        ode = _LogTime(flow, t_from, t_to)
        left = torch.full((len(x),), ode.span, dtype=x.dtype, device=x.device)
        place = torch.arange(len(x), device=x.device)
        batch = _Batch(x, ode.slope(x, left), left, (left / steps).clamp(max=LONGEST_STEP), place)
        evaluations, taken = 1, 0
        while len(batch.place):
            self._step(ode, batch)
            x = x.index_copy(0, batch.place, batch.x)
            after(taken, float(ode.time(batch.left.max())), x)
            batch = batch.under_way()
            evaluations, taken = evaluations + len(NODES), taken + 1
            self._check(ode, batch, evaluations)
        return x

    def _step(self, ode: _LogTime, batch: _Batch) -> None:
        """Try one step of every sample; those whose error is too large stay and step shorter."""
        x, left = batch.x, batch.left
        h = torch.minimum(batch.step, left)
        wide = over(h, x)
        slopes, ahead = [batch.slope], x
        for node, weights in zip(NODES, WEIGHTS, strict=True):
            ahead = x + wide * combine(weights, slopes)
            slopes.append(ode.slope(ahead, left - node * h))
        scale = self._atol + self._rtol * torch.maximum(x.abs(), ahead.abs())
        error = per_sample_rms(wide * combine(ERROR, slopes) / scale)
        accepted = error <= 1
        moved = accepted.reshape(wide.shape)
        batch.x = torch.where(moved, ahead, x)
        batch.slope = torch.where(moved, slopes[-1], batch.slope)
        batch.left = torch.where(accepted, left - h, left)
        growth = (0.9 * error**-0.2).nan_to_num(0.2).clamp(0.2, 5.0)
        batch.step = (h * growth).clamp(max=LONGEST_STEP)

    def _check(self, ode: _LogTime, batch: _Batch, evaluations: int) -> None:
        lost = batch.step < LEAST_STEP * ode.span
        if bool(lost.any()):
            t = float(ode.time(batch.left[lost])[0])
            raise ZooError(
                f"dopri5's step underflows at t = {t:g}: the field there is not finite, or too "
                "rough for the tolerances; raise rtol and atol"
            )
        if len(batch.place) and evaluations + len(NODES) > self._max_evaluations:
            raise ZooError(
                f"dopri5 has used {evaluations} of max_evaluations = {self._max_evaluations} at "
                f"t = {float(ode.time(batch.left.max())):g}; raise it, or raise rtol and atol"
            )

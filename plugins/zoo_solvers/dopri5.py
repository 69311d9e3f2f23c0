"""Dormand-Prince 5(4) with a step size of its own for every sample.

It runs in coordinates where the ODE is bounded and smooth (`charts`). A step of size h is
accepted where

    err = rms((y5 - y4) / (atol + rtol max(|y|, |y5|))) <= 1,   h <- h clamp(0.9 err^(-1/5), 0.2, 5)

Each sample has its own time, h and err, so its result does not depend on its neighbours; samples
that have arrived leave the batch. The pair: Dormand and Prince, J. Comput. Appl. Math. 6 (1980)
19; the controller: Hairer, Norsett and Wanner, Solving ODEs I, section II.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import Flow, over
from zoo.interfaces.solver import StepCallback
from zoo_solvers.charts import Chart, chart_for
from zoo_solvers.checks import count, positive, scale_of
from zoo_solvers.clock import LEAST_STEP, LONGEST_STEP
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
    """The samples still under way: state, its slope, clock left to run, next step, place."""

    y: Tensor
    slope: Tensor
    left: Tensor
    step: Tensor
    place: Tensor

    def under_way(self) -> _Batch:
        """Return the samples that have not arrived."""
        some = self.left > 0
        return _Batch(*(v[some] for v in (self.y, self.slope, self.left, self.step, self.place)))


class Dopri5(CheckedSolver):
    """Adaptive, per sample; `steps` only sets the first step, the whole way / steps.

    Options:
        rtol, atol: tolerances per step, relative and in data units.
        max_evaluations: bound on a sample's evaluations; running into it is an error.
        scale: standard deviation of the data, in data units; by default the model's sigma_data.
    """

    order = 5

    def __init__(
        self,
        *,
        rtol: float = 1e-4,
        atol: float = 1e-4,
        max_evaluations: int = 10_000,
        scale: float | None = None,
    ) -> None:
        self._rtol, self._atol = positive("rtol", rtol), positive("atol", atol)
        self._max_evaluations = count("max_evaluations", max_evaluations)
        self._scale = None if scale is None else positive("scale", scale)

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
        chart, y, slope = chart_for(flow, x, *ends, scale_of(flow, self._scale))
        left = chart.way
        place = torch.arange(len(x), device=x.device)
        batch = _Batch(y, slope, left, (left / steps).clamp(max=LONGEST_STEP), place)
        evaluations, taken = 1, 0
        while len(batch.place):
            flow.rows = batch.place
            self._step(chart, batch)
            x = x.index_copy(0, batch.place, chart.leave(batch.y, batch.left, batch.place))
            behind = batch.left.argmax()
            after(taken, float(chart.time(batch.left, batch.place)[behind]), x)
            batch = batch.under_way()
            evaluations, taken = evaluations + len(NODES), taken + 1
            self._check(chart, batch, evaluations)
        return x

    def _step(self, chart: Chart, batch: _Batch) -> None:
        """Try one step of every sample; those whose error is too large stay and step shorter."""
        y, left = batch.y, batch.left
        h = torch.minimum(batch.step, left)
        wide = over(h, y)
        slopes, ahead = [batch.slope], y
        for node, weights in zip(NODES, WEIGHTS, strict=True):
            ahead = y + wide * combine(weights, slopes)
            slopes.append(chart.slope(ahead, left - node * h, batch.place))
        scale = self._atol / chart.unit + self._rtol * torch.maximum(y.abs(), ahead.abs())
        error = per_sample_rms(wide * combine(ERROR, slopes) / scale)
        accepted = error <= 1
        moved = accepted.reshape(wide.shape)
        batch.y = torch.where(moved, ahead, y)
        batch.slope = torch.where(moved, slopes[-1], batch.slope)
        batch.left = torch.where(accepted, left - h, left)
        growth = (0.9 * error**-0.2).nan_to_num(0.2).clamp(0.2, 5.0)
        batch.step = (h * growth).clamp(max=LONGEST_STEP)

    def _check(self, chart: Chart, batch: _Batch, evaluations: int) -> None:
        lost = batch.step < LEAST_STEP * chart.way[batch.place]
        if bool(lost.any()):
            t = float(chart.time(batch.left[lost], batch.place[lost])[0])
            raise ZooError(
                f"dopri5's step underflows at t = {t:g}: the field there is not finite, or too "
                "rough for the tolerances; raise rtol and atol"
            )
        if len(batch.place) and evaluations + len(NODES) > self._max_evaluations:
            t = float(chart.time(batch.left, batch.place)[batch.left.argmax()])
            raise ZooError(
                f"dopri5 has used {evaluations} of max_evaluations = {self._max_evaluations} at "
                f"t = {t:g}; raise it, or raise rtol and atol"
            )

"""Adaptive exponential Adams: one evaluation a step, and a step size of each sample's own.

A step of the clock (`clock`) predicts x' from the last three values of the denoiser, evaluates it
there, and corrects with four, each integrated exactly against the linear part (`coefficients`).
The two results measure the error

    err = rms(corrected - predicted) / (tol scale)

in units of the data, at every noise level: errors of much noise decide which image comes out, and
count for as much as those of little. A step is accepted where err <= 1; the next is

    h clamp(0.8 err^(-1/k) (err_before / err)^(1/2k), 0.2, 2),   k = values known + 1

A rejected step costs its one evaluation. Samples that have arrived leave the batch, and none
depends on its neighbours.

Sources: Adams methods of variable step, Hairer, Norsett and Wanner, Solving ODEs I, section
III.5; exponential ones, Hochbruck and Ostermann, Acta Numerica 19 (2010) 209; the controller,
Gustafsson, ACM TOMS 17 (1991) 533.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import Flow, over
from zoo.interfaces.solver import StepCallback
from zoo_solvers.checks import count, positive, scale_of
from zoo_solvers.clock import LEAST_STEP, LONGEST_STEP, Clock
from zoo_solvers.coefficients import Exponential
from zoo_solvers.linear import denoiser, own_share
from zoo_solvers.multistep import Value
from zoo_solvers.walk import CheckedSolver

# How many values predict; the corrector has one more.
VALUES = 3
# The first step, of one value alone, is at most this long: it is the one most easily rejected.
FIRST_STEP = 0.1
# An error measured as zero says nothing of the next.
_LEAST_ERROR = 1e-3


@dataclass
class _Batch:
    """The samples still under way, B of them.

    Attributes:
        x: states (B, *).
        values: the last VALUES denoised, newest first, (B, *) each.
        left: what the clock had left where they were, newest first, (VALUES, B).
        known: how many of them there are, (B,).
        step: to try next, (B,).
        error: of the last accepted step, (B,).
        place: which samples of the walk they are, (B,).
    """

    x: Tensor
    values: list[Tensor]
    left: Tensor
    known: Tensor
    step: Tensor
    error: Tensor
    place: Tensor

    def under_way(self) -> _Batch:
        """Return the samples that have not arrived."""
        some = self.left[0] > 0
        if bool(some.all()):
            return self
        return _Batch(
            x=self.x[some],
            values=[v[some] for v in self.values],
            left=self.left[:, some],
            known=self.known[some],
            step=self.step[some],
            error=self.error[some],
            place=self.place[some],
        )


class Adaptive(CheckedSolver):
    """Adaptive, per sample; `steps` only bounds the first step, by the whole way / steps.

    Options:
        tol: error allowed per step, root mean square over coordinates, in units of `scale`.
        max_evaluations: bound on a sample's evaluations; running into it is an error.
        scale: standard deviation of the data, in data units; by default the model's sigma_data.
    """

    order = VALUES + 1

    def __init__(
        self, *, tol: float = 5e-3, max_evaluations: int = 10_000, scale: float | None = None
    ) -> None:
        self._tol = positive("tol", tol)
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
        value, scale = denoiser(flow), scale_of(flow, self._scale)
        d = value(x, ends[0])
        clock = Clock(flow.kernel, own_share(flow.kernel, x, d, ends[0]), x, ends, scale)
        batch = _start(x, d, clock.way, steps)
        taken = 0
        while len(batch.place):
            flow.rows = batch.place
            self._step(value, clock, batch)
            x = x.index_copy(0, batch.place, batch.x)
            behind = batch.left[0].argmax()
            after(taken, float(clock.time(batch.left[0], batch.place)[behind]), x)
            batch, taken = batch.under_way(), taken + 1
            self._check(clock, batch, 1 + taken)
        return x

    def _step(self, value: Value, clock: Clock, batch: _Batch) -> None:
        """Try one step of every sample; those whose error is too large stay and step shorter."""
        x, h = batch.x, torch.minimum(batch.step, batch.left[0])
        left = torch.cat([(batch.left[0] - h)[None], batch.left])
        shrink, predictor, corrector = _weights(clock, left, batch.place, batch.known)
        ahead = over(shrink, x) * x
        best = ahead.clone()
        for k, known in enumerate(batch.values):
            ahead.addcmul_(known, over(predictor[k], x))
            best.addcmul_(known, over(corrector[k + 1], x))
        d = value(ahead, clock.time(left[0], batch.place))
        best.addcmul_(d, over(corrector[0], x))
        error = (best - ahead).flatten(1).square().mean(dim=1).sqrt() / (self._tol * clock.scale)
        accepted = error <= 1
        moved = accepted.reshape(-1, *(1,) * (x.ndim - 1))
        batch.x = torch.where(moved, best, x)
        shifted = [d, *batch.values[:-1]]
        batch.values = [torch.where(moved, *v) for v in zip(shifted, batch.values, strict=True)]
        batch.left = torch.where(accepted, left[:-1], batch.left)
        batch.step = (h * _growth(error, batch)).clamp(max=LONGEST_STEP)
        batch.error = torch.where(accepted, error.clamp(min=_LEAST_ERROR), batch.error)
        batch.known = (batch.known + accepted).clamp(max=VALUES)

    def _check(self, clock: Clock, batch: _Batch, evaluations: int) -> None:
        lost = batch.step < LEAST_STEP * clock.way[batch.place]
        if bool(lost.any()):
            t = float(clock.time(batch.left[0, lost], batch.place[lost])[0])
            raise ZooError(
                f"exp-adaptive's step underflows at t = {t:g}: the field there is not finite, or "
                "too rough for the tolerance; raise tol"
            )
        if len(batch.place) and evaluations >= self._max_evaluations:
            t = float(clock.time(batch.left[0], batch.place)[batch.left[0].argmax()])
            raise ZooError(
                f"exp-adaptive has used {evaluations} of max_evaluations = "
                f"{self._max_evaluations} at t = {t:g}; raise it, or raise tol"
            )


def _start(x: Tensor, d: Tensor, way: Tensor, steps: int) -> _Batch:
    """Return the batch before its first step, with one value known."""
    one = torch.ones_like(way)
    return _Batch(
        x=x,
        values=[d] * VALUES,
        left=way.expand(VALUES, -1),
        known=torch.ones(len(x), dtype=torch.long, device=x.device),
        step=(way / steps).clamp(max=FIRST_STEP),
        error=one,
        place=torch.arange(len(x), device=x.device),
    )


def _weights(
    clock: Clock, left: Tensor, place: Tensor, known: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return sigma'/sigma (B,), and the weights of predictor and corrector, of the newest first.

    Shapes (VALUES, B) and (VALUES + 1, B); `left` is that of the step's end and of the values,
    (VALUES + 1, B), of which each sample has `known`.
    """
    nodes = len(left)
    alpha, sigma = (
        v.reshape(nodes, -1).flip(0) for v in clock.marginal(left.flatten(), place.repeat(nodes))
    )
    predictor, corrector = left.new_zeros(nodes - 1, len(place)), left.new_zeros(left.shape)
    for k in range(int(known.min()), int(known.max()) + 1):
        line = Exponential(alpha[-k - 1 :], sigma[-k - 1 :], clock.scale)
        have = known == k
        for table, first in ((predictor, 0), (corrector, 1)):
            fit = line.weights(tuple(range(first, -k, -1)), k - 1, k)[0]
            table[: len(fit)] = torch.where(have, fit, table[: len(fit)])
    return sigma[-1] / sigma[-2], predictor, corrector


def _growth(error: Tensor, batch: _Batch) -> Tensor:
    """Return by how much the step changes, (B,); it never grows where it was rejected."""
    power = 1 / (1 + batch.known.to(error))
    best = 0.8 * error**-power * (batch.error / error) ** (power / 2)
    best = best.nan_to_num(0.2).clamp(0.2, 2.0)
    return torch.where(error <= 1, best, best.clamp(max=0.8))

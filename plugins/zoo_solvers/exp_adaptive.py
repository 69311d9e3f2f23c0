"""Adaptive exponential Adams: one evaluation a step, and a step size of each sample's own.

A step in log level (`adaptive`) predicts x' from the last three values of the denoiser, evaluates
it there, and corrects with four, each integrated exactly against the linear part (`linear`).
The two results measure the error

    err = rms(corrected - predicted) / (tol scale)

in units of the data, at every noise level: errors of much noise decide which image comes out, and
count for as much as those of little. A step is accepted where err <= 1; the next is

    h clamp(0.8 err^(-1/k) (err_before / err)^(1/2k), 0.2, 2),   k = values known + 1

A rejected step costs its one evaluation.

Sources: Adams methods of variable step, Hairer, Norsett and Wanner, Solving ODEs I, section
III.5; exponential ones, Hochbruck and Ostermann, Acta Numerica 19 (2010) 209; the controller,
Gustafsson, ACM TOMS 17 (1991) 533.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import Flow, check_positive, over
from zoo_solvers.adaptive import LONGEST_STEP, AdaptiveSolver, LogLevel, SamplesUnderWay
from zoo_solvers.linear import denoiser, exponential_part

# How many values predict; the corrector has one more.
VALUES = 3
# The first step, of one value alone, is at most this long: it is the one most easily rejected.
FIRST_STEP = 0.1
# An error measured as zero says nothing of the next.
_LEAST_ERROR, _ROUNDING = 1e-3, 1e-9


class _Samples(SamplesUnderWay):
    """Samples x, (B, *), with the last VALUES of the denoiser, newest first; d is its first."""

    def __init__(self, tau: LogLevel, x: Tensor, d: Tensor, steps: int, tol: float) -> None:
        super().__init__(tau.total, (tau.total / steps).clamp(max=FIRST_STEP))
        self._denoise, self._tau, self._tol = denoiser(tau.flow), tau, tol
        self._x, self._values = x, [d] * VALUES
        # Times of the values, (VALUES, B'); how many are known, (B',).
        self._times = tau.time(self.remaining, self.index).expand(VALUES, -1)
        self._known = torch.ones(len(x), dtype=torch.long, device=x.device)
        self._error = torch.ones_like(self.remaining)  # of the last accepted step, (B,)

    def time(self) -> Tensor:
        """Return t of each sample, (B,)."""
        return self._times[0]

    def state(self) -> Tensor:
        """Return x of each sample, (B, *)."""
        return self._x

    def advance(self) -> None:
        """Try one step of every sample; those whose error is too large stay and step shorter."""
        x, tau = self._x, self._tau
        # A step that all but arrives arrives: what rounding would leave is no step.
        h = torch.where(self.step * (1 + _ROUNDING) >= self.remaining, self.remaining, self.step)
        left = self.remaining - h
        t = tau.time(left, self.index)
        times = torch.cat([t[None], self._times])
        decay, predictor, corrector = _weights(tau, times, self.index, self._known)
        ahead = over(decay, x) * x
        best = ahead.clone()
        for k, known in enumerate(self._values):
            ahead.addcmul_(known, over(predictor[k], x))
            best.addcmul_(known, over(corrector[k + 1], x))
        d = self._denoise(ahead, t)
        best.addcmul_(d, over(corrector[0], x))
        error = (best - ahead).flatten(1).square().mean(dim=1).sqrt() / (self._tol * tau.scale)
        accepted = error <= 1
        moved = accepted.reshape(-1, *(1,) * (x.ndim - 1))
        self._x = torch.where(moved, best, x)
        shifted = [d, *self._values[:-1]]
        self._values = [torch.where(moved, *v) for v in zip(shifted, self._values, strict=True)]
        self._times = torch.where(accepted, times[:-1], self._times)
        self.remaining = torch.where(accepted, left, self.remaining)
        self.step = (h * self._growth(error)).clamp(max=LONGEST_STEP)
        self._error = torch.where(accepted, error.clamp(min=_LEAST_ERROR), self._error)
        self._known = (self._known + accepted).clamp(max=VALUES)

    def _growth(self, error: Tensor) -> Tensor:
        """Return by how much the step changes, (B,); it never grows where it was rejected."""
        power = 1 / (1 + self._known.to(error))
        best = 0.8 * error**-power * (self._error / error) ** (power / 2)
        best = best.nan_to_num(0.2).clamp(0.2, 2.0)
        return torch.where(error <= 1, best, best.clamp(max=0.8))

    def keep(self, some: Tensor) -> None:
        """Go on with `some` of the samples alone, (B,) of bool."""
        super().keep(some)
        self._x, self._values = self._x[some], [v[some] for v in self._values]
        self._times = self._times[:, some]
        self._known, self._error = self._known[some], self._error[some]


class ExpAdaptive(AdaptiveSolver):
    """Adaptive, per sample; `steps` only bounds the first step, by the whole interval / steps.

    Options:
        tol: error allowed per step, root mean square over coordinates, in units of `scale`.
        max_evaluations: bound on a sample's evaluations; running into it is an error.
        scale: standard deviation of the data, in data units; by default the model's sigma_data.
    """

    order, cost = VALUES + 1, 1
    name, tolerance = "exp-adaptive", "tol"

    def __init__(
        self, *, tol: float = 5e-3, max_evaluations: int = 10_000, scale: float | None = None
    ) -> None:
        super().__init__(max_evaluations, scale)
        self._tol = check_positive("tol", tol)

    def start(
        self, flow: Flow, x: Tensor, ends: tuple[float, float], steps: int, scale: float
    ) -> SamplesUnderWay:
        """Return the samples before their first step; one evaluation, the denoiser there."""
        d = denoiser(flow)(x, ends[0])
        return _Samples(LogLevel(flow, x, d, ends, scale), x, d, steps, self._tol)


def _weights(
    tau: LogLevel, times: Tensor, index: Tensor, known: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return sigma'/sigma (B',), and the weights of predictor and corrector, of the newest first.

    Shapes (VALUES, B') and (VALUES + 1, B'); `times` are that of the step's end and those of the
    values, (VALUES + 1, B'), of which each sample has `known`.
    """
    nodes = len(times)
    marginal = tau.marginal(times.flatten(), index.repeat(nodes))
    alpha, sigma = (v.reshape(nodes, -1).flip(0) for v in marginal)
    predictor = times.new_zeros(nodes - 1, len(index))
    corrector = times.new_zeros(times.shape)
    for k in range(int(known.min()), int(known.max()) + 1):
        part = exponential_part(alpha[-k - 1 :], sigma[-k - 1 :], tau.scale)
        have = known == k
        for table, first in ((predictor, 0), (corrector, 1)):
            fit = part.weights(range(first, -VALUES, -1))[-1]
            table.copy_(torch.where(have, fit, table))
    return sigma[-1] / sigma[-2], predictor, corrector

"""Dormand-Prince 5(4) with a step size of its own for every sample.

A step of size h is accepted where

    err = rms((y5 - y4) / (atol + rtol max(|y|, |y5|))) <= 1,   h <- h clamp(0.9 err^(-1/5), 0.2, 5)

Each sample has its own time, h and err (`adaptive`). The pair: Dormand and Prince, J. Comput.
Appl. Math. 6 (1980) 19; the controller: Hairer, Norsett and Wanner, Solving ODEs I, section II.4.

It runs in coordinates where the ODE is bounded and smooth. Where the kernel has a linear part,
with psi = asinh(scale alpha / sigma) and y = x / (sigma cosh psi) = x / hypot(scale alpha, sigma),

    dy/dpsi = D / scale - y tanh psi

The variable of the steps is log level up to a cap (`adaptive.LogLevel`). The slope is bounded at
all noise levels and vanishes for data N(0, scale^2 I); y has unit size from noise to data, so that
one tolerance means the same everywhere: EDM's preconditioning (arXiv:2206.00364, table 1) as a
change of variables. Any other ODE is integrated in u = log t, as dx/du = t f(x, t).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.interfaces import Flow, check_positive, over
from zoo_solvers.adaptive import LONGEST_STEP, AdaptiveSolver, LogLevel, SamplesUnderWay

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


class LogTime:
    """y = x and the variable |log t|, for B samples x.

    `remaining`, shape (B',), is what some samples have left to go and `index`, shape (B',), which
    samples of the batch they are.

    Attributes:
        total: what every sample has to go, in the variable of the steps, (B,).
        unit: data units per unit of y.
    """

    total: Tensor
    unit = 1.0

    def __init__(self, flow: Flow, x: Tensor, t_from: float, t_to: float) -> None:
        self._flow = flow
        self._to, self._sign = t_to, math.copysign(1.0, t_to - t_from)
        self._low, self._high = min(t_from, t_to), max(t_from, t_to)
        self.total = x.new_full((len(x),), abs(math.log(t_to / t_from)))

    def time(self, remaining: Tensor, index: Tensor) -> Tensor:
        """Return t = t_to exp(-+ remaining), shape (B',), never outside the interval."""
        del index
        return (-self._sign * remaining).exp().mul(self._to).clamp(self._low, self._high)

    def slope(self, y: Tensor, remaining: Tensor, index: Tensor) -> Tensor:
        """Return dy per unit of the variable, +-t f(x, t), shape (B', *); one evaluation."""
        t = self.time(remaining, index)
        return self._flow.field(y, t) * over(self._sign * t, y)

    def to_x(self, y: Tensor, remaining: Tensor, index: Tensor) -> Tensor:
        """Return x = y, shape (B', *)."""
        del remaining, index
        return y


class Normalised(LogLevel):
    """y = x / hypot(scale alpha, sigma), sigma the sample's own, and |tau|; otherwise `LogTime`."""

    @property
    def unit(self) -> float:
        """Data units per unit of y."""
        return self.scale

    def _size(self, t: Tensor, index: Tensor) -> Tensor:
        alpha, sigma = self.marginal(t, index)
        return torch.hypot(self.scale * alpha, sigma)

    def from_x(self, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """Return y and its slope at the start, from x and D there, shapes (B, *)."""
        index = torch.arange(len(x), device=x.device)
        y = x / over(self._size(self.time(self.total, index), index), x)
        return y, self._slope(y, d, self.total, index)

    def _slope(self, y: Tensor, d: Tensor, remaining: Tensor, index: Tensor) -> Tensor:
        sinh = self.sinh_psi(remaining, index)
        cosh = (1 + sinh.square()).sqrt()
        rate = self.sign * (sinh + self.shift) / cosh  # dpsi / dtau
        return d * over(rate / self.scale, y) - y * over(rate * sinh / cosh, y)

    def slope(self, y: Tensor, remaining: Tensor, index: Tensor) -> Tensor:
        """Return +-(D / scale - y tanh psi) dpsi/dtau."""
        t = self.time(remaining, index)
        d = self.flow.denoise(y * over(self._size(t, index), y), t)
        return self._slope(y, d, remaining, index)

    def to_x(self, y: Tensor, remaining: Tensor, index: Tensor) -> Tensor:
        """Return x = y hypot(scale alpha, sigma)."""
        return y * over(self._size(self.time(remaining, index), index), y)


Coordinates = LogTime | Normalised


def coordinates_of(
    flow: Flow, x: Tensor, t_from: float, t_to: float, scale: float
) -> tuple[Coordinates, Tensor, Tensor]:
    """Return the coordinates of samples x at t_from, with y and its slope; one evaluation."""
    if flow.kernel.affine_path:
        d = flow.denoise(x, t_from)
        normalised = Normalised(flow, x, d, (t_from, t_to), scale)
        return normalised, *normalised.from_x(x, d)
    plain = LogTime(flow, x, t_from, t_to)
    return plain, x, plain.slope(x, plain.total, torch.arange(len(x), device=x.device))


class _Samples(SamplesUnderWay):
    """Samples as y with its slope at their times, (B, *) each."""

    def __init__(
        self, start: tuple[Coordinates, Tensor, Tensor], steps: int, rtol: float, atol: float
    ) -> None:
        self._coordinates, self._y, self._slope = start
        total = self._coordinates.total
        super().__init__(total, (total / steps).clamp(max=LONGEST_STEP))
        self._rtol, self._atol = rtol, atol / self._coordinates.unit

    def time(self) -> Tensor:
        """Return t of each sample, (B,)."""
        return self._coordinates.time(self.remaining, self.index)

    def state(self) -> Tensor:
        """Return x of each sample, (B, *)."""
        return self._coordinates.to_x(self._y, self.remaining, self.index)

    def advance(self) -> None:
        """Try one step of every sample; those whose error is too large stay and step shorter."""
        y, remaining = self._y, self.remaining
        h = torch.minimum(self.step, remaining)
        wide = over(h, y)
        slopes, ahead = [self._slope], y
        for node, weights in zip(NODES, WEIGHTS, strict=True):
            ahead = y + wide * combine(weights, slopes)
            slopes.append(self._coordinates.slope(ahead, remaining - node * h, self.index))
        scale = self._atol + self._rtol * torch.maximum(y.abs(), ahead.abs())
        error = (wide * combine(ERROR, slopes) / scale).flatten(1).square().mean(dim=1).sqrt()
        accepted = error <= 1
        moved = accepted.reshape(wide.shape)
        self._y = torch.where(moved, ahead, y)
        self._slope = torch.where(moved, slopes[-1], self._slope)
        self.remaining = torch.where(accepted, remaining - h, remaining)
        growth = (0.9 * error**-0.2).nan_to_num(0.2).clamp(0.2, 5.0)
        self.step = (h * growth).clamp(max=LONGEST_STEP)

    def keep(self, some: Tensor) -> None:
        """Go on with `some` of the samples alone, (B,) of bool."""
        super().keep(some)
        self._y, self._slope = self._y[some], self._slope[some]


class Dopri5(AdaptiveSolver):
    """Adaptive, per sample; `steps` only sets the first step, the whole interval / steps.

    Options:
        rtol, atol: tolerances per step, relative and in data units.
        max_evaluations: bound on a sample's evaluations; running into it is an error.
        scale: standard deviation of the data, in data units; by default the model's sigma_data.
    """

    order, cost = 5, len(NODES)
    name, tolerance = "dopri5", "rtol and atol"

    def __init__(
        self,
        *,
        rtol: float = 1e-4,
        atol: float = 1e-4,
        max_evaluations: int = 10_000,
        scale: float | None = None,
    ) -> None:
        super().__init__(max_evaluations, scale)
        self._rtol, self._atol = check_positive("rtol", rtol), check_positive("atol", atol)

    def start(
        self, flow: Flow, x: Tensor, ends: tuple[float, float], steps: int, scale: float
    ) -> SamplesUnderWay:
        """Return the samples before their first step; one evaluation, the slope there."""
        return _Samples(coordinates_of(flow, x, *ends, scale), steps, self._rtol, self._atol)

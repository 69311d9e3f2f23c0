"""Coordinates for dopri5: a state and a variable in which the ODE is bounded and smooth.

Where the kernel has a linear part, with psi = asinh(scale alpha / sigma) and
y = x / (sigma cosh psi) = x / hypot(scale alpha, sigma),

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

from zoo.interfaces import Flow, over
from zoo_solvers.adaptive import LogLevel
from zoo_solvers.linear import has_linear_part


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

    def _size(self, remaining: Tensor, index: Tensor) -> Tensor:
        alpha, sigma = self.marginal(remaining, index)
        return torch.hypot(self.scale * alpha, sigma)

    def from_x(self, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """Return y and its slope at the start, from x and D there, shapes (B, *)."""
        index = torch.arange(len(x), device=x.device)
        y = x / over(self._size(self.total, index), x)
        return y, self._slope(y, d, self.total, index)

    def _slope(self, y: Tensor, d: Tensor, remaining: Tensor, index: Tensor) -> Tensor:
        sinh = self.sinh_psi(remaining, index)
        cosh = (1 + sinh.square()).sqrt()
        rate = self.sign * (sinh + self.shift) / cosh  # dpsi / dtau
        return d * over(rate / self.scale, y) - y * over(rate * sinh / cosh, y)

    def slope(self, y: Tensor, remaining: Tensor, index: Tensor) -> Tensor:
        """Return +-(D / scale - y tanh psi) dpsi/dtau."""
        x = self.to_x(y, remaining, index)
        d = self.flow.denoise(x, self.time(remaining, index))
        return self._slope(y, d, remaining, index)

    def to_x(self, y: Tensor, remaining: Tensor, index: Tensor) -> Tensor:
        """Return x = y hypot(scale alpha, sigma)."""
        return y * over(self._size(remaining, index), y)


Coordinates = LogTime | Normalised


def coordinates_of(
    flow: Flow, x: Tensor, t_from: float, t_to: float, scale: float
) -> tuple[Coordinates, Tensor, Tensor]:
    """Return the coordinates of samples x at t_from, with y and its slope; one evaluation."""
    if has_linear_part(flow.kernel):
        d = flow.denoise(x, t_from)
        normalised = Normalised(flow, x, d, (t_from, t_to), scale)
        return normalised, *normalised.from_x(x, d)
    plain = LogTime(flow, x, t_from, t_to)
    return plain, x, plain.slope(x, plain.total, torch.arange(len(x), device=x.device))

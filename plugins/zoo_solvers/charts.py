"""Coordinates for adaptive steps: a clock and a state whose ODE is bounded and smooth.

Where the kernel's linear part is its marginal's (`linear.is_scalar`), with
psi = asinh(scale alpha / sigma) and y = x / (sigma cosh psi) = x / hypot(scale alpha, sigma),

    dy/dpsi = D / scale - y tanh psi

The clock (`clock`) is log level up to a cap. The slope is bounded at all noise levels and vanishes
for data N(0, scale^2 I); y has unit size from noise to data, so that one tolerance means the same
everywhere: EDM's preconditioning (arXiv:2206.00364, table 1) as a change of variables.
Any other ODE runs in u = log t, as
dx/du = t f(x, t).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from zoo.interfaces import Flow, over
from zoo_solvers.clock import Clock
from zoo_solvers.linear import is_scalar, own_share


class Chart(ABC):
    """Coordinates y of x along a walk; the clock runs down from `way` to 0.

    `left`, shape (B,), is what the clock of some samples has left and `place`, shape (B,), which
    samples of the walk they are.

    Attributes:
        way: what every sample's clock runs, shape (samples,).
        unit: data units per unit of y.
    """

    way: Tensor
    unit: float

    @abstractmethod
    def time(self, left: Tensor, place: Tensor) -> Tensor:
        """Return t, shape (B,), never outside the interval."""

    @abstractmethod
    def slope(self, y: Tensor, left: Tensor, place: Tensor) -> Tensor:
        """Return dy per unit of the clock, shape (B, *); one evaluation."""

    @abstractmethod
    def leave(self, y: Tensor, left: Tensor, place: Tensor) -> Tensor:
        """Return x, shape (B, *)."""


class LogTime(Chart):
    """y = x, the clock runs in |log t|."""

    unit = 1.0

    def __init__(self, flow: Flow, samples: Tensor, t_from: float, t_to: float) -> None:
        self._flow = flow
        self._to, self._sign = t_to, math.copysign(1.0, t_to - t_from)
        self._low, self._high = min(t_from, t_to), max(t_from, t_to)
        way = abs(math.log(t_to / t_from))
        self.way = torch.full((len(samples),), way, dtype=samples.dtype, device=samples.device)

    def time(self, left: Tensor, place: Tensor) -> Tensor:
        """Return t = t_to exp(-+ left)."""
        del place
        return (-self._sign * left).exp().mul(self._to).clamp(self._low, self._high)

    def slope(self, y: Tensor, left: Tensor, place: Tensor) -> Tensor:
        """Return +-t f(x, t)."""
        t = self.time(left, place)
        return self._flow.field(y, t) * over(self._sign * t, y)

    def leave(self, y: Tensor, left: Tensor, place: Tensor) -> Tensor:
        """Return y."""
        del left, place
        return y


class Normed(Chart):
    """y = x / hypot(scale alpha, sigma), the clock runs in |tau|, sigma the sample's own."""

    def __init__(
        self,
        flow: Flow,
        share: Tensor | None,
        x: Tensor,
        ends: tuple[float, float],
        scale: float,
    ) -> None:
        self._flow, self.unit = flow, scale
        self._clock = Clock(flow.kernel, share, x, ends, scale)
        self.way = self._clock.way

    def time(self, left: Tensor, place: Tensor) -> Tensor:
        """Return the t whose level, the sample's own, is scale / sinh psi."""
        return self._clock.time(left, place)

    def _size(self, left: Tensor, place: Tensor) -> Tensor:
        alpha, sigma = self._clock.marginal(left, place)
        return torch.hypot(self.unit * alpha, sigma)

    def enter(self, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """Return y and its slope at the start, from x and D there, shapes (B, *)."""
        place = torch.arange(len(x), device=x.device)
        y = x / over(self._size(self.way, place), x)
        return y, self._slope(y, d, self.way, place)

    def _slope(self, y: Tensor, d: Tensor, left: Tensor, place: Tensor) -> Tensor:
        clock = self._clock
        ratio = clock.ratio(left, place)
        size = (1 + ratio.square()).sqrt()
        rate = clock.sign * (ratio + clock.shift) / size  # dpsi / dtau
        return d * over(rate / self.unit, y) - y * over(rate * ratio / size, y)

    def slope(self, y: Tensor, left: Tensor, place: Tensor) -> Tensor:
        """Return +-(D / scale - y tanh psi) dpsi/dtau."""
        x = self.leave(y, left, place)
        d = self._flow.denoise(x, self.time(left, place))
        return self._slope(y, d, left, place)

    def leave(self, y: Tensor, left: Tensor, place: Tensor) -> Tensor:
        """Return x = y hypot(scale alpha, sigma)."""
        return y * over(self._size(left, place), y)


def chart_for(
    flow: Flow, x: Tensor, t_from: float, t_to: float, scale: float
) -> tuple[Chart, Tensor, Tensor]:
    """Return the chart of a walk that starts at x, with y and its slope there; one evaluation."""
    place = torch.arange(len(x), device=x.device)
    if not is_scalar(flow.kernel):
        plain = LogTime(flow, x, t_from, t_to)
        return plain, x, plain.slope(x, plain.way, place)
    d = flow.denoise(x, t_from)
    share = own_share(flow.kernel, x, d, t_from)
    chart = Normed(flow, share, x, (t_from, t_to), scale)
    return chart, *chart.enter(x, d)

"""Dormand-Prince 5(4) with a step size of its own for every sample.

It runs in coordinates where the ODE is bounded and smooth (`coordinates`). A step of size h is
accepted where

    err = rms((y5 - y4) / (atol + rtol max(|y|, |y5|))) <= 1,   h <- h clamp(0.9 err^(-1/5), 0.2, 5)

Each sample has its own time, h and err (`adaptive`). The pair: Dormand and Prince, J. Comput.
Appl. Math. 6 (1980) 19; the controller: Hairer, Norsett and Wanner, Solving ODEs I, section II.4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import Flow, check_positive, over
from zoo_solvers.adaptive import LONGEST_STEP, AdaptiveSolver, SamplesUnderWay
from zoo_solvers.coordinates import Coordinates, coordinates_of

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


class _Samples(SamplesUnderWay):
    """Samples as y with its slope at their times, (B, *) each."""

    def __init__(
        self,
        coordinates: Coordinates,
        y: Tensor,
        slope: Tensor,
        step: Tensor,
        rtol: float,
        atol: float,
    ) -> None:
        super().__init__(coordinates.total, step)
        self._coordinates, self._y, self._slope = coordinates, y, slope
        self._rtol, self._atol = rtol, atol / coordinates.unit

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
        error = per_sample_rms(wide * combine(ERROR, slopes) / scale)
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
        coordinates, y, slope = coordinates_of(flow, x, *ends, scale)
        step = (coordinates.total / steps).clamp(max=LONGEST_STEP)
        return _Samples(coordinates, y, slope, step, self._rtol, self._atol)

"""Noise schedules: monotonicity, times of levels, and the three schedules that preserve variance.

A variance-preserving schedule is one increasing function L(t) = -log alpha_t^2 with L(0) = 0:

    alpha = exp(-L / 2),   sigma = sqrt(1 - exp(-L)),   (sigma / alpha)^2 = exp(L) - 1
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import check_integer, check_positive
from zoo.numerics import solve_increasing

_PROBES = 257
# Levels are looked for down to times of e^-100 of the end.
_LOG_TIME_SPAN = 100.0


def check_increasing(
    name: str, function: Callable[[Tensor], Tensor], t_min: float, t_max: float
) -> None:
    """Raise ZooError unless `function` is positive and increasing on [t_min, t_max]."""
    logs = torch.linspace(math.log(t_min), math.log(t_max), _PROBES, dtype=torch.float64)
    t = logs.exp().clamp(t_min, t_max)
    values = function(t).detach()
    for bad, what in (
        (values.isnan(), "is not a number"),
        (values <= 0, "is not positive"),
        (torch.cat([values.diff() <= 0, torch.tensor([False])]), "does not increase"),
    ):
        if bool(bad.any()):
            raise ZooError(f"{name} {what} at t = {float(t[bad][0]):g}; it has to grow with t")


def time_of_level(
    level: Callable[[Tensor], Tensor], target: float, end: float, start: float = 0.0
) -> float:
    """Return the time in (0, end] at which the increasing `level` is `target`, or `end` if below.

    Times at or before `start` are not looked at.
    """
    high = torch.tensor(math.log(end), dtype=torch.float64)
    low = torch.full_like(high, math.log(start)) if start > 0 else high - _LOG_TIME_SPAN
    log_t = solve_increasing(lambda u: level(u.exp()).detach().log() - math.log(target), low, high)
    return min(float(log_t.exp()), end)


class Schedule(ABC):
    """L(t) with its derivative.

    Attributes:
        start: smallest time that means something, 0 where all do.
        end: largest time.
    """

    start: float = 0.0
    end: float = 1.0

    @abstractmethod
    def decay(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return (L, L'), each like t, float64."""

    def path(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (alpha, sigma, alpha'), each like t, float64."""
        decay, rate = self.decay(t)
        alpha = (-decay / 2).exp()
        return alpha, (-torch.expm1(-decay)).sqrt(), -alpha * rate / 2


class LinearSchedule(Schedule):
    """L = beta_min t + (beta_max - beta_min) t^2 / 2: score SDE, arXiv:2011.13456, eq. 33."""

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        self.beta_min = check_positive("beta_min", beta_min)
        self.beta_max = check_positive("beta_max", beta_max)

    def decay(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return (L, beta_t)."""
        slope = self.beta_max - self.beta_min
        return t * (self.beta_min + slope * t / 2), self.beta_min + slope * t


class CosineSchedule(Schedule):
    """alpha = cos(w (t + s)) / cos(w s), w = pi / (2 (1 + s)): arXiv:2102.09672, eq. 17."""

    def __init__(self, s: float = 0.008) -> None:
        self.s = check_positive("s", s, below=1.0)

    def decay(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return (L, L'); the ratio of cosines is expanded, so that small t keep their digits."""
        w = math.pi / 2 / (1 + self.s)
        shift = w * t
        loss = 2 * (shift / 2).sin().square() + shift.sin() * math.tan(w * self.s)
        return -2 * torch.log1p(-loss), 2 * w * (shift + w * self.s).tan()

    def path(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (alpha, sigma, alpha'), the slope finite at t = 1 too, where L' is not."""
        alpha, sigma, _ = super().path(t)
        w = math.pi / 2 / (1 + self.s)
        return alpha, sigma, -w * (w * (t + self.s)).sin() / math.cos(w * self.s)


class TableSchedule(Schedule):
    """DDPM's discrete table: t = n + 1 is its time step n, and L is interpolated in between.

    L(k) = -sum_{n < k} log(1 - beta_n), by monotone cubic interpolation (Fritsch and Carlson,
    SIAM J. Numer. Anal. 17, 1980), so that whole times reproduce the table exactly.
    Source: DDPM, arXiv:2006.11239, section 4.
    """

    start = 1.0

    def __init__(
        self,
        betas: Sequence[float] | None = None,
        steps: int = 1000,
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
    ) -> None:
        if betas is None:
            first = check_positive("beta_start", beta_start, below=1.0)
            last = check_positive("beta_end", beta_end, below=1.0)
            table = torch.linspace(
                first, last, check_integer("steps", steps, 2), dtype=torch.float64
            )
        else:
            table = torch.tensor(
                [check_positive(f"betas[{i}]", b, below=1.0) for i, b in enumerate(betas)],
                dtype=torch.float64,
            )
            if len(table) < 2:
                raise ZooError(f"betas has {len(table)} entries; expected at least 2")
        self.end = float(len(table))
        steps_of_l = -torch.log1p(-table)
        self._values = torch.cat([torch.zeros(1, dtype=torch.float64), steps_of_l.cumsum(0)])
        left, right = steps_of_l[:-1], steps_of_l[1:]
        inner = 2 * left * right / (left + right)
        self._slopes = torch.cat([steps_of_l[:1], inner, steps_of_l[-1:]])

    def decay(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return (L, L') by cubic Hermite interpolation."""
        values, slopes = self._values.to(t.device), self._slopes.to(t.device)
        k = t.detach().floor().clamp(0, self.end - 1).long()
        u = t - k
        v = 1 - u
        y_0, y_1, m_0, m_1 = values[k], values[k + 1], slopes[k], slopes[k + 1]
        step = y_1 - y_0
        value = y_0 + u * u * (3 - 2 * u) * step + u * v * (v * m_0 - u * m_1)
        slope = 6 * u * v * step + v * (v - 2 * u) * m_0 + u * (u - 2 * v) * m_1
        return value, slope

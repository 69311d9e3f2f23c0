"""Gaussian paths: x_t = alpha_t x_0 + sigma_t z, of a schedule that keeps the variance, or any.

    zoo.kernel("interpolant", dim=2, alpha="cos(pi*t/2)", sigma="sin(pi*t/2)")

Source: kexue.fm/archives/9370, "Gaussian diffusion" and "summary"; DDPM, arXiv:2006.11239;
Stochastic interpolants, arXiv:2303.08797, section 2.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import (
    LEVEL_RANGE,
    FieldKernel,
    GaussianPathKernel,
    PathCoefficients,
    check_choice,
    did_you_mean,
)
from zoo.numerics import FormulaLike, formula, jet, occurring
from zoo_gaussian.schedules import (
    CosineSchedule,
    LinearSchedule,
    Schedule,
    TableSchedule,
    check_increasing,
    time_of_level,
)

SCHEDULES: dict[str, type[Schedule]] = {
    "linear": LinearSchedule,
    "cosine": CosineSchedule,
    "ddpm": TableSchedule,
}
# alpha is looked at this close to t = 0, relative to t_min.
_NEARLY_ZERO = 1e-12


class VPKernel(GaussianPathKernel):
    """Variance preserving: p_t(x_t | x_0) = N(alpha_t x_0, (1 - alpha_t^2) I).

    Args:
        dim: number of coordinates d.
        schedule: "linear" (beta_min=0.1, beta_max=20, t up to 1), "cosine" (s=0.008, t up to 1)
            or "ddpm" (steps=1000, beta_start=1e-4, beta_end=0.02, or betas=[...]; t = n + 1 is
            time step n).
        t_min: first time; by default the one with sigma / alpha = 0.002, or time step 0.
        t_max: time of the prior; by default the schedule's end, or where sigma / alpha = 80 if
            it is infinite there.
        options: the schedule's constants.

    Raises:
        ZooError: an unknown schedule or constant, or a time beyond the schedule's end.
    """

    def __init__(
        self,
        *,
        dim: int,
        schedule: str = "linear",
        t_min: float | None = None,
        t_max: float | None = None,
        **options: Any,
    ) -> None:
        build = SCHEDULES[check_choice("schedule", schedule, SCHEDULES)]
        known = inspect.signature(build).parameters
        for name in options:
            if name not in known:
                hint = did_you_mean(name, known)
                raise ZooError(f"the schedule {schedule!r} has no option {name!r}; {hint}")
        self.schedule = build(**options)
        if t_max is None:
            t_max = self.schedule.end
            if schedule == "cosine":
                t_max = time_of_level(self.level, LEVEL_RANGE[1], t_max)
        if t_min is None:
            t_min = time_of_level(self.level, LEVEL_RANGE[0], t_max, self.schedule.start)
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)
        if self.t_max > self.schedule.end:
            raise ZooError(f"t_max = {t_max:g} is beyond the schedule's end {self.schedule.end:g}")

    def coefficients(self, t: Tensor) -> PathCoefficients:
        """Return alpha = exp(-L/2), sigma = sqrt(1 - exp(-L)) and their derivatives."""
        alpha, sigma, slope = self.schedule.path(t)
        return PathCoefficients(alpha, sigma, slope, -alpha * slope / sigma)

    def level(self, t: Tensor | float) -> Tensor:
        """Return sigma / alpha = sqrt(exp(L) - 1), float64."""
        decay, _ = self.schedule.decay(torch.as_tensor(t, dtype=torch.float64))
        return torch.expm1(decay).sqrt()


class InterpolantKernel(GaussianPathKernel):
    """p_t(x_t | x_0) = N(alpha_t x_0, sigma_t^2 I).

    Args:
        dim: number of coordinates d.
        alpha: signal scale as a formula of t or a callable written with torch; tends to 1 as
            t -> 0.
        sigma: noise scale, likewise; sigma / alpha increases.
        t_min: first time; by default the one with sigma / alpha = 0.002.
        t_max: time of the prior.
        parameters: numbers for the other names in the formulas.

    Raises:
        ZooError: a formula cannot be read, sigma / alpha does not increase, or alpha does not
            tend to 1.
    """

    def __init__(
        self,
        *,
        dim: int,
        alpha: FormulaLike,
        sigma: FormulaLike,
        t_min: float | None = None,
        t_max: float = 1.0,
        **parameters: float,
    ) -> None:
        in_alpha = occurring(alpha, ("t",), parameters, argument="alpha")
        in_sigma = occurring(sigma, ("t",), parameters, argument="sigma")
        for name in parameters.keys() - in_alpha.keys() - in_sigma.keys():
            raise ZooError(f"unknown option {name!r}: it occurs in neither alpha nor sigma")
        self._alpha = formula(alpha, ("t",), argument="alpha", parameters=in_alpha)
        self._sigma = formula(sigma, ("t",), argument="sigma", parameters=in_sigma)
        FieldKernel.__init__(self, dim=dim, t_min=t_max * 1e-30, t_max=t_max)
        if t_min is None:
            t_min = time_of_level(self.level, LEVEL_RANGE[0], self.t_max)
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)
        check_increasing("sigma / alpha", self.level, self.t_min, self.t_max)
        start = float(self.marginal(self.t_min * _NEARLY_ZERO)[0])
        if not abs(start - 1) < 1e-3:
            raise ZooError(f"alpha tends to {start:g} as t -> 0; expected 1, so that x_0 is data")

    def coefficients(self, t: Tensor) -> PathCoefficients:
        """Return the formulas' values and derivatives at t."""
        values = []
        for function in (self._alpha, self._sigma):
            at = jet(function, t)
            values.append((at.plain.expand_as(t), at.slope(0).value().expand_as(t)))
        (alpha, d_alpha), (sigma, d_sigma) = values
        return PathCoefficients(alpha, sigma, d_alpha, d_sigma)

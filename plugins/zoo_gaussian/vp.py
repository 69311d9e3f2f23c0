"""Variance preserving: x_t = alpha_t x_0 + sigma_t z with alpha^2 + sigma^2 = 1.

Source: kexue.fm/archives/9370, "Gaussian diffusion" and "summary"; DDPM, arXiv:2006.11239.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import (
    LEVEL_RANGE,
    GaussianPathKernel,
    PathCoefficients,
    check_choice,
    did_you_mean,
)
from zoo_gaussian.schedules import (
    CosineSchedule,
    LinearSchedule,
    Schedule,
    TableSchedule,
    time_of_level,
)

SCHEDULES: dict[str, type[Schedule]] = {
    "linear": LinearSchedule,
    "cosine": CosineSchedule,
    "ddpm": TableSchedule,
}


class VPKernel(GaussianPathKernel):
    """p_t(x_t | x_0) = N(alpha_t x_0, (1 - alpha_t^2) I).

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

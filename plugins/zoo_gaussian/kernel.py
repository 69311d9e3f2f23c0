"""Gaussian kernels whose data keep their scale: sigma_t = t, and sigma_t as it is given.

    phi_t = N(0, sigma_t^2 I),   v = (sigma'/sigma) (x_t - x_0),   f = -sigma' sigma grad log p_t

which is the probability-flow ODE. Source: kexue.fm/archives/9370, "Gaussian diffusion"; EDM,
arXiv:2206.00364, eq. 1; score SDE, arXiv:2011.13456, section 3.4.
"""

from __future__ import annotations

import math

import scipy.special
import torch
from torch import Tensor

from zoo.interfaces import (
    IsotropicKernel,
    SelfSimilarKernel,
    floating,
    log_shell,
    moved,
    over,
    randn,
)
from zoo.numerics import FormulaLike, LogJet, formula, gammainc, jet, on_cpu, solve_increasing
from zoo_gaussian.schedules import check_increasing

# Times of default levels are looked for in e^-100 ... e^100.
_LOG_TIME_SPAN = 100.0


class GaussianKernel(SelfSimilarKernel):
    """p_t(x_t | x_0) = N(x_0, t^2 I); the noise level is t itself, in [0.002, 80] by default."""

    gaussian = True
    random_level = False

    def __init__(self, *, dim: int, t_min: float = 0.002, t_max: float = 80.0) -> None:
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)

    def unit_sample(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw z ~ N(0, I), shaped like `like`: (B, *)."""
        return randn(like.shape, like, generator)

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (1, t)."""
        t = floating(t)
        return torch.ones_like(t), t

    def time_at(self, level: Tensor | float) -> Tensor:
        """Return t = level, clamped to [t_min, t_max]."""
        return torch.as_tensor(level, dtype=torch.float64).clamp(self.t_min, self.t_max)

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return P(d/2, rho^2 / 2), the regularised incomplete gamma function."""
        return gammainc(self.dim / 2, rho.square() / 2)

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return sqrt(2 P^{-1}(d/2, q))."""
        half = on_cpu(lambda p: scipy.special.gammaincinv(self.dim / 2, p), q.double())
        return half.mul(2).sqrt().to(q)

    def unit_log_phi(self, rho: Tensor) -> Tensor:
        """Return -d/2 log(2 pi) - rho^2 / 2."""
        return -self.dim / 2 * math.log(2 * math.pi) - rho.square() / 2

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return the log density of the chi law with d degrees of freedom."""
        return self.unit_log_phi(rho) + log_shell(rho, self.dim)


class VEKernel(IsotropicKernel):
    """p_t(x_t | x_0) = N(x_0, sigma_t^2 I) for any increasing sigma_t.

    Args:
        dim: number of coordinates d.
        sigma: sigma_t as a formula of t, "t", "sqrt(t)", "s * b**t", or a callable of t written
            with torch. The law concentrates on the data as t -> 0 only if sigma_0 = 0.
        t_min: first time; by default the one with sigma = 0.002.
        t_max: time of the prior; by default the one with sigma = 80.
        parameters: numbers for the other names in the formula.

    Raises:
        ZooError: sigma is not a formula, or not positive and increasing on [t_min, t_max].
    """

    affine = True
    affine_path = True
    gaussian = True
    random_level = False

    def __init__(
        self,
        *,
        dim: int,
        sigma: FormulaLike = "t",
        t_min: float | None = None,
        t_max: float | None = None,
        **parameters: float,
    ) -> None:
        self._sigma = formula(sigma, ("t",), argument="sigma", parameters=parameters)
        self._unit = GaussianKernel(dim=dim)
        if t_min is None and t_max is None:
            # A schedule that does not grow has no times to match either: refuse it first.
            check_increasing("sigma", lambda t: self.marginal(t)[1], 0.01, 1.0)
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)
        check_increasing("sigma", lambda t: self.marginal(t)[1], self.t_min, self.t_max)

    def _schedule(self, t: Tensor | float) -> LogJet:
        return jet(self._sigma, torch.as_tensor(t, dtype=torch.float64))

    def _growth(self, t: Tensor | float) -> Tensor:
        """Return sigma' / sigma, like t, float64."""
        return self._schedule(t).log_slope(0)

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (1, sigma_t), float64."""
        sigma = self._schedule(t).plain.expand(torch.as_tensor(t).shape)
        return torch.ones_like(sigma), sigma

    def _time_of_level(self, level: Tensor) -> Tensor:
        span, target = torch.full_like(level, _LOG_TIME_SPAN), level.log()
        with torch.no_grad():
            log_t = solve_increasing(
                lambda u: self.marginal(u.exp())[1].log() - target, -span, span
            )
        return log_t.exp()

    def _radial_cdf(self, r: Tensor, t: Tensor | float) -> Tensor:
        at = torch.as_tensor(t, dtype=torch.float64) if isinstance(t, float | int) else t
        return self._unit.unit_cdf(r / self._sigma(at))

    def _radial_icdf(self, q: Tensor, t: Tensor | float) -> Tensor:
        return self.marginal(t)[1].to(q) * self._unit.unit_icdf(q)

    def _radius_log_density(self, r: Tensor, t: Tensor | float) -> Tensor:
        sigma = self.marginal(t)[1].to(r)
        return self._unit.unit_log_density(r / sigma) - sigma.log()

    def _radial_velocity(self, r: Tensor, t: Tensor | float) -> Tensor:
        return self._growth(t).to(r) * r

    def _log_phi(self, r: Tensor, t: Tensor | float) -> Tensor:
        sigma = self.marginal(t)[1].to(r)
        return self._unit.unit_log_phi(r / sigma) - self.dim * sigma.log()

    def _velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        return over(self._growth(t), x_t) * (x_t - x_0)

    def denoised(self, field: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t] = x_t - (sigma / sigma') f."""
        return x_t - field / over(self._growth(t), x_t)

    def _sample(self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None) -> Tensor:
        return moved(x_0, over(self.marginal(t)[1], x_0), randn(x_0.shape, x_0, generator))

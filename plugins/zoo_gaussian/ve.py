"""Variance exploding with a free schedule: N(x_0, sigma_t^2 I).

v = (sigma'/sigma)(x_t - x_0) and f = -sigma' sigma grad log p_t.

Source: kexue.fm/archives/9370, "Gaussian diffusion"; score SDE, arXiv:2011.13456, section 3.4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import IsotropicKernel, moved, over, randn
from zoo.numerics import FormulaLike, LogJet, formula, jet, solve_increasing
from zoo_gaussian import chi
from zoo_gaussian.schedules import check_increasing

# Times of default levels are looked for in e^-100 ... e^100.
_LOG_TIME_SPAN = 100.0


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
        sigma = self._schedule(t).plain
        sigma = sigma.expand(torch.as_tensor(t).shape)
        return torch.ones_like(sigma), sigma

    def _time_of_level(self, level: Tensor) -> Tensor:
        span = torch.full_like(level, _LOG_TIME_SPAN)
        one = torch.ones_like(level)
        with torch.no_grad():
            return solve_increasing(
                lambda u: self.marginal(u.exp())[1].log() - level.log(),
                -span,
                span,
                at_low=-one,
                at_high=one,
            ).exp()

    def _radial_cdf(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return psi_t(r) = P(d/2, r^2 / (2 sigma_t^2))."""
        at = torch.as_tensor(t, dtype=torch.float64) if isinstance(t, float | int) else t
        return chi.cdf(r / self._sigma(at), self.dim)

    def _radial_icdf(self, q: Tensor, t: Tensor | float) -> Tensor:
        """Return sigma_t times the chi quantile."""
        return self.marginal(t)[1].to(q) * chi.icdf(q, self.dim)

    def _radius_log_density(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return the chi log density of r / sigma_t, less log sigma_t."""
        sigma = self.marginal(t)[1].to(r)
        return chi.log_density(r / sigma, self.dim) - sigma.log()

    def _radial_velocity(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return dr/dt = (sigma' / sigma) r."""
        return self._growth(t).to(r) * r

    def _log_phi(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return -d/2 log(2 pi sigma^2) - r^2 / (2 sigma^2), like r."""
        sigma = self.marginal(t)[1].to(r)
        return chi.log_phi(r / sigma, self.dim) - self.dim * sigma.log()

    def _velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return v = (sigma' / sigma) (x_t - x_0), shape (B, *)."""
        return over(self._growth(t), x_t) * (x_t - x_0)

    def denoised(self, field: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t] = x_t - (sigma / sigma') f."""
        return x_t - field / over(self._growth(t), x_t)

    def _sample(
        self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw x_t = x_0 + sigma_t z, shape (B, *)."""
        noise = randn(x_0.shape, x_0, generator)
        return moved(x_0, over(self.marginal(t)[1], x_0), noise)

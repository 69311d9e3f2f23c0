"""Gaussian kernel with sigma_t = t: phi_t = N(0, t^2 I), v = (x_t - x_0) / t.

The field is the probability-flow ODE f = -t grad log p_t.
Source: kexue.fm/archives/9370, "Gaussian diffusion"; EDM, arXiv:2206.00364, eq. 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import SelfSimilarKernel, floating, randn
from zoo_gaussian import chi


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
        return chi.cdf(rho, self.dim)

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return sqrt(2 P^{-1}(d/2, q))."""
        return chi.icdf(q, self.dim)

    def unit_log_phi(self, rho: Tensor) -> Tensor:
        """Return -d/2 log(2 pi) - rho^2 / 2."""
        return chi.log_phi(rho, self.dim)

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return the log density of the chi law with d degrees of freedom."""
        return chi.log_density(rho, self.dim)

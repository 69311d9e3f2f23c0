"""Gaussian kernel with sigma_t = t: phi_t = N(0, t^2 I), v = (x_t - x_0) / t.

The field is the probability-flow ODE f = -t grad log p_t.
Source: kexue.fm/archives/9370, "Gaussian diffusion"; EDM, arXiv:2206.00364, eq. 1.
"""

from __future__ import annotations

import math

import scipy.special
import torch
from torch import Tensor

from zoo.interfaces import SelfSimilarKernel, over, randn
from zoo.interfaces.isotropic import radius


class GaussianKernel(SelfSimilarKernel):
    """p_t(x_t | x_0) = N(x_0, t^2 I); the noise level is t itself, in [0.002, 80] by default."""

    random_level = False

    def __init__(self, *, dim: int, t_min: float = 0.002, t_max: float = 80.0) -> None:
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)

    def log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return -d/2 log(2 pi t^2) - r^2 / (2 t^2), shape (B,)."""
        r = radius(x_t, x_0)
        t = torch.as_tensor(t, dtype=r.dtype, device=r.device)
        return -self.dim * (0.5 * math.log(2 * math.pi) + t.log()) - (r / t).square() / 2

    def sample(
        self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw x_t = x_0 + t eps, shape (B, *)."""
        return x_0 + over(t, x_0) * randn(x_0.shape, x_0, generator)

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (1, t)."""
        t = torch.as_tensor(t)
        t = t if t.is_floating_point() else t.double()
        return torch.ones_like(t), t

    def time_at(self, level: Tensor | float) -> Tensor:
        """Return t = level, clamped to [t_min, t_max]."""
        return torch.as_tensor(level, dtype=torch.float64).clamp(self.t_min, self.t_max)

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return P(d/2, rho^2 / 2), the regularised incomplete gamma function."""
        return torch.special.gammainc(torch.full_like(rho, self.dim / 2), rho.square() / 2)

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return sqrt(2 P^{-1}(d/2, q))."""
        numbers = q.detach().double().cpu().numpy()
        return torch.as_tensor(2 * scipy.special.gammaincinv(self.dim / 2, numbers)).sqrt().to(q)

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return the log density of the chi law with d degrees of freedom."""
        log_norm = (self.dim / 2 - 1) * math.log(2) + math.lgamma(self.dim / 2)
        return (self.dim - 1) * rho.log() - rho.square() / 2 - log_norm

"""Gravity: G = C (t, x_t - x_0) / (t^2 + r^2)^((d+1)/2), C = Gamma((d+1)/2) / pi^((d+1)/2).

Source: kexue.fm/archives/9370, "universal gravitation"; PFGM, arXiv:2209.11178, eq. 5.
"""

from __future__ import annotations

import math

import scipy.special
import torch
from torch import Tensor

from zoo.interfaces import SelfSimilarKernel, over, randn
from zoo.interfaces.isotropic import log_sphere_area, radius


def gaussian_ratio(x_0: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw z = eps_x / |eps_t|, (eps_x, eps_t) ~ N(0, I_{d+1}): standard Cauchy, shape (B, *).

    Two Gaussian draws and no special function: the article's "surprise". eps_t is float64,
    since a float32 normal is exactly 0 about four times in 1e8.
    """
    eps_x = randn(x_0.shape, x_0, generator)
    eps_t = randn((len(x_0),), x_0, generator, dtype=torch.float64).abs()
    return eps_x / over(eps_t.clamp(min=1e-12), x_0)


class GravityKernel(SelfSimilarKernel):
    """p_t(x_t | x_0) is multivariate Cauchy with location x_0 and scale t.

    x_t = x_0 + t z: Gaussian noise of level s = t / |eps_t|, which t does not determine.
    The squared radius obeys t^2 / (t^2 + r^2) ~ Beta(1/2, d/2).
    """

    def log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return log C + log t - (d+1)/2 log(t^2 + r^2), shape (B,)."""
        r = radius(x_t, x_0)
        t = torch.as_tensor(t, dtype=r.dtype, device=r.device)
        half = (self.dim + 1) / 2
        log_c = math.lgamma(half) - half * math.log(math.pi)
        return log_c - self.dim * t.log() - half * torch.log1p((r / t).square())

    def sample(
        self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw x_t = x_0 + t eps_x / |eps_t|, shape (B, *)."""
        return x_0 + over(t, x_0) * gaussian_ratio(x_0, generator)

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return I_{rho^2 / (1 + rho^2)}(d/2, 1/2), the regularised incomplete beta; no autograd."""
        tail = 1 / (1 + rho.detach().double().cpu().square())
        return torch.from_numpy(scipy.special.betaincc(0.5, self.dim / 2, tail.numpy())).to(rho)

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return sqrt((1 - c) / c) with c the 1 - q quantile of Beta(1/2, d/2)."""
        numbers = q.detach().double().cpu().numpy()
        c = torch.as_tensor(scipy.special.betainccinv(0.5, self.dim / 2, numbers))
        return ((1 - c) / c).sqrt().to(q)

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return log S_d + log C + (d - 1) log rho - (d+1)/2 log(1 + rho^2)."""
        half = (self.dim + 1) / 2
        log_c = math.lgamma(half) - half * math.log(math.pi)
        power = (self.dim - 1) * rho.log() - half * torch.log1p(rho.square())
        return log_sphere_area(self.dim) + log_c + power

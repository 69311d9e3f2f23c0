"""Gaussian paths: x_t = alpha_t x_0 + sigma_t z, z ~ N(0, I).

Variance preserving, variance exploding and flow-matching kernels differ in the pair
(alpha_t, sigma_t) alone. With a = sigma'/sigma the conditional velocity is

    v = d_t x_t = a (x_t - alpha x_0) + alpha' x_0

which is affine in x_0. Source: kexue.fm/archives/9370, "summary" (characteristics); Stochastic
interpolants, arXiv:2303.08797, section 2.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.interfaces.kernel import FieldKernel, over, randn


class PathCoefficients(NamedTuple):
    """alpha and sigma with their time derivatives, each like t, float64."""

    alpha: Tensor
    sigma: Tensor
    d_alpha: Tensor
    d_sigma: Tensor


class GaussianPathKernel(FieldKernel):
    """Write `coefficients` and the rest follows in closed form."""

    affine_path = True
    gaussian = True

    @abstractmethod
    def coefficients(self, t: Tensor) -> PathCoefficients:
        """Return alpha_t, sigma_t and their derivatives; t is float64, of any shape."""

    def _at(self, t: Tensor | float, x: Tensor) -> PathCoefficients:
        t = torch.as_tensor(t, dtype=torch.float64, device=x.device)
        return self.coefficients(t.reshape(()) if t.numel() == 1 else t)

    def _log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return -d/2 log(2 pi sigma^2) - |x_t - alpha x_0|^2 / (2 sigma^2), shape (B,)."""
        at = self._at(t, x_0)
        r = (x_t - over(at.alpha, x_0) * x_0).flatten(1).norm(dim=1).double()
        norm = self.dim * (0.5 * math.log(2 * math.pi) + at.sigma.log())
        log: Tensor = -norm - (r / at.sigma).square() / 2
        return log.to(x_t.dtype)

    def _velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return v = (sigma'/sigma)(x_t - alpha x_0) + alpha' x_0, shape (B, *)."""
        at = self._at(t, x_0)
        noise = x_t - over(at.alpha, x_t) * x_0
        return over(at.d_sigma / at.sigma, x_t) * noise + over(at.d_alpha, x_t) * x_0

    def _sample(self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None) -> Tensor:
        """Draw x_t = alpha x_0 + sigma z, shape (B, *)."""
        at = self._at(t, x_0)
        noise = randn(x_0.shape, x_0, generator)
        return noise.mul_(over(at.sigma, x_0)).addcmul_(x_0, over(at.alpha, x_0))

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (alpha_t, sigma_t), float64."""
        at = self.coefficients(torch.as_tensor(t, dtype=torch.float64))
        return at.alpha, at.sigma

    def denoised(self, field: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t] = (f - a x_t) / (alpha' - a alpha), a = sigma'/sigma, (B, *)."""
        at = self._at(t, x_t)
        growth = at.d_sigma / at.sigma
        return (field - over(growth, x_t) * x_t) / over(at.d_alpha - growth * at.alpha, x_t)

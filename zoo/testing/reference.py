"""Kernels in closed form, on which networks, solvers and methods are tested."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.interfaces import GaussianPathKernel, PathCoefficients, SelfSimilarKernel, log_shell, over

# The data of the reference flow are N(0, VARIANCE I).
VARIANCE = 0.25


class ReferenceKernel(GaussianPathKernel):
    """N(x_0, t^2 I), t in [0.002, 80]."""

    def __init__(self, *, dim: int) -> None:
        super().__init__(dim=dim, t_min=0.002, t_max=80.0)

    def coefficients(self, t: Tensor) -> PathCoefficients:
        """Return alpha = 1, sigma = t and their derivatives."""
        one, zero = torch.ones_like(t), torch.zeros_like(t)
        return PathCoefficients(alpha=one, sigma=t, d_alpha=zero, d_sigma=one)


class ReferenceCauchy(SelfSimilarKernel):
    """x_0 + t z, z of Cauchy's law in the plane: a level that t leaves open, t / |N(0, 1)|."""

    def __init__(self) -> None:
        super().__init__(dim=2)

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return 1 - (1 + rho^2)^(-1/2)."""
        return -torch.expm1(-torch.log1p(rho.square()) / 2)

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return the rho with unit_cdf(rho) = q, like q."""
        return ((1 - q).pow(-2) - 1).sqrt()

    def unit_log_phi(self, rho: Tensor) -> Tensor:
        """Return -log(2 pi) - 3/2 log(1 + rho^2)."""
        return -math.log(2 * math.pi) - 1.5 * torch.log1p(rho.square())

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return the log density of |z| at rho, like rho."""
        return self.unit_log_phi(rho) + log_shell(rho, self.dim)


def denoiser(x: Tensor, t: Tensor) -> Tensor:
    """Return E[x_0 | x_t = x] for data N(0, VARIANCE I), shape (B, *)."""
    return x * (VARIANCE / (VARIANCE + over(t, x).square()))


def flow_map(x: Tensor, t_from: float, t_to: float) -> Tensor:
    """Return the exact solution at t_to, shape (B, *)."""
    return x * math.sqrt((VARIANCE + t_to**2) / (VARIANCE + t_from**2))

"""A Gaussian kernel in closed form, on which networks and solvers are tested."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.interfaces import GaussianPathKernel, PathCoefficients, over

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


def denoiser(x: Tensor, t: Tensor) -> Tensor:
    """Return E[x_0 | x_t = x] for data N(0, VARIANCE I), shape (B, *)."""
    return x * (VARIANCE / (VARIANCE + over(t, x).square()))


def flow_map(x: Tensor, t_from: float, t_to: float) -> Tensor:
    """Return the exact solution at t_to, shape (B, *)."""
    return x * math.sqrt((VARIANCE + t_to**2) / (VARIANCE + t_from**2))

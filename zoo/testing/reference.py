"""A Gaussian kernel in closed form, on which networks and solvers are tested."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, over, randn

# The data of the reference flow are N(0, VARIANCE I).
VARIANCE = 0.25


class ReferenceKernel(FieldKernel):
    """N(x_0, t^2 I), t in [0.002, 80]."""

    affine_path = True
    gaussian = True

    def __init__(self, *, dim: int) -> None:
        super().__init__(dim=dim, t_min=0.002, t_max=80.0)

    def _log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return log N(x_t; x_0, t^2 I), shape (B,)."""
        t = torch.as_tensor(t).double()
        square = ((x_t - x_0) / over(t, x_t)).flatten(1).square().sum(dim=1)
        return (-square / 2 - self.dim * (0.5 * math.log(2 * math.pi) + t.log())).to(x_t.dtype)

    def _velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return (x_t - x_0) / t, shape (B, *)."""
        return (x_t - x_0) / over(t, x_t)

    def _sample(
        self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw x_0 + t n, shape (B, *)."""
        return x_0 + over(t, x_0) * randn(x_0.shape, x_0, generator)

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (1, t)."""
        t = torch.as_tensor(t).double()
        return torch.ones_like(t), t


def denoiser(x: Tensor, t: Tensor) -> Tensor:
    """Return E[x_0 | x_t = x] for data N(0, VARIANCE I), shape (B, *)."""
    return x * (VARIANCE / (VARIANCE + over(t, x).square()))


def flow_map(x: Tensor, t_from: float, t_to: float) -> Tensor:
    """Return the exact solution at t_to, shape (B, *)."""
    return x * math.sqrt((VARIANCE + t_to**2) / (VARIANCE + t_from**2))

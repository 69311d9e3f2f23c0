"""The level of one sample's noise as Tweedie's formula sees it, where the time leaves it open.

For noise of density phi_t(r), r = |x - x_0|, the denoiser's Jacobian is

    grad D = Cov(x_0, grad_x log phi) = Cov(x_0, (kappa / r^2) (x_0 - x)),
    kappa = -dlog phi / dlog r

so Cov(x_0 | x) = s^2 grad D with s^2 = r^2 / kappa: t^2 for the Gaussian, (t^2 + r^2) / (d + D)
for Student laws. The radius is that of the sample itself: E[r^2 | x] = |x - D|^2 + tr Cov, and
tr Cov = s^2 tr grad D, which makes it the root of an increasing function.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.interfaces.isotropic import IsotropicKernel
from zoo.numerics import solve_increasing

# Of log r: the level is then right to the same, relative.
_TOLERANCE = 1e-6
# log of the largest radius looked at, over the typical one.
_SPAN = 15.0


def own_variance(kernel: IsotropicKernel, square: Tensor, trace: Tensor, t: Tensor) -> Tensor:
    """Return s^2 of each sample, (B,), float64: Cov(x_0 | x) = s^2 grad D.

    Args:
        kernel: of random level.
        square: |x - D|^2, (B,).
        trace: tr grad D, (B,).
        t: time, () or (B,).
    """
    square, trace = square.double().clamp(min=1e-60), trace.double().clamp(0, kernel.dim)
    t = t.to(square).expand_as(square)
    typical = kernel.level(t) * math.sqrt(kernel.dim)

    def excess(log_r: Tensor) -> Tensor:
        """Return (r^2 (1 - trace / kappa) - |x - D|^2) over |x - D|^2, in bounds."""
        kappa = slope(kernel, log_r, t)
        left = (1 - trace / kappa.clamp(min=1e-30)).clamp(min=0)
        return (2 * log_r + left.clamp(min=1e-300).log() - square.log()).clamp(-50, 50)

    low = square.log() / 2
    high = torch.logaddexp(low, typical.log()) + _SPAN
    log_r = solve_increasing(excess, low, high, tolerance=_TOLERANCE)
    return (2 * log_r).exp() / slope(kernel, log_r, t)


def slope(kernel: IsotropicKernel, log_r: Tensor, t: Tensor) -> Tensor:
    """Return kappa = -dlog phi_t / dlog r at radii of logarithm log_r, like log_r."""
    with torch.enable_grad():
        at = log_r.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(kernel.log_phi(at.exp(), t).sum(), at)
    return -found

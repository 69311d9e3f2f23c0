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

# Where the radius is looked for: logarithms, over the typical one, and how many.
_LEAST, _MOST, _COUNT = -12.0, 20.0, 1024
# Of a derivative of log phi where phi has underflowed.
_LARGE = 1e30


def own_variance(kernel: IsotropicKernel, square: Tensor, trace: Tensor, t: Tensor) -> Tensor:
    """Return s^2 of each sample, (B,), float64: Cov(x_0 | x) = s^2 grad D.

    By a table of kappa, right to a relative 1e-3.

    Args:
        kernel: of random level.
        square: |x - D|^2, (B,).
        trace: tr grad D, (B,).
        t: time, () or (B,).
    """
    square, trace = square.double().clamp(min=1e-60), trace.double().clamp(0, kernel.dim)
    t = t.to(square).reshape(-1, 1)
    steps = torch.linspace(_LEAST, _MOST, _COUNT, dtype=torch.float64, device=square.device)
    log_r = (kernel.level(t) * math.sqrt(kernel.dim)).log() + steps  # (1 or B, count)
    kappa = slope(kernel, log_r, t).clamp(1 / _LARGE, _LARGE)
    left = (1 - trace[:, None] / kappa).clamp(min=1 / _LARGE)
    # log of r^2 - s^2 trace over |x - D|^2: increasing in r, and 0 at the radius.
    excess = 2 * log_r + left.log() - square.log()[:, None]
    above = (excess < 0).sum(dim=1, keepdim=True).clamp(1, _COUNT - 1)
    ends = torch.cat([above - 1, above], dim=1)
    low, high = excess.gather(1, ends).unbind(dim=1)
    log_variance = (2 * log_r - kappa.log()).expand_as(excess).gather(1, ends)
    return torch.lerp(*log_variance.unbind(dim=1), (low / (low - high)).clamp(0, 1)).exp()


def slope(kernel: IsotropicKernel, log_r: Tensor, t: Tensor) -> Tensor:
    """Return kappa = -dlog phi_t / dlog r at radii of logarithm log_r, like log_r."""
    with torch.enable_grad():
        at = log_r.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(kernel.log_phi(at.exp(), t).sum(), at)
    return found.neg().nan_to_num(nan=_LARGE)

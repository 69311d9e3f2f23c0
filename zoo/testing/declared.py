"""The declarations of a kernel: an affine path, a Gaussian distribution."""

from __future__ import annotations

import math

import torch

from zoo.errors import CheckFailure
from zoo.interfaces import FieldKernel, over
from zoo.testing.numerics import normal, times

# Relative step of the derivatives of alpha and sigma, and tolerances.
_STEP = 1e-4
_VELOCITY_WITHIN = 1e-4
_DENSITY_WITHIN = 1e-6


def declarations(kernel: FieldKernel) -> None:
    """`affine_path` and `gaussian`, where declared, are true of the velocity and the density."""
    if kernel.affine_path:
        affine_path(kernel)
    if kernel.gaussian:
        gaussian(kernel)


def affine_path(kernel: FieldKernel) -> None:
    """Velocities are (sigma'/sigma) (x_t - alpha x_0) + alpha' x_0 as `marginal` says."""
    t = times(kernel, 5)[1:-1]
    (alpha, sigma), before, after = (
        kernel.marginal(t * factor) for factor in (1, 1 - _STEP, 1 + _STEP)
    )
    d_alpha, d_sigma = (
        (b - a).double() / (2 * _STEP * t) for a, b in zip(before, after, strict=True)
    )
    x_0, x_t = normal(2, len(t), kernel.dim)
    noise = x_t - over(alpha, x_0) * x_0
    expected = over(d_sigma / sigma, x_0) * noise + over(d_alpha, x_0) * x_0
    error = (kernel.velocity(x_t, x_0, t) - expected).abs().amax(1) / expected.abs().amax(1)
    worst = int(error.argmax())
    if not float(error[worst]) <= _VELOCITY_WITHIN:
        raise CheckFailure(
            f"affine_path is declared, but v at t = {float(t[worst]):.4g} is "
            f"{float(error[worst]):.3g}, relative, from (sigma'/sigma) (x_t - alpha x_0) + "
            "alpha' x_0 with the alpha and sigma of marginal"
        )


def gaussian(kernel: FieldKernel) -> None:
    """log_density is that of N(alpha x_0, sigma^2 I) with (alpha, sigma) = marginal(t)."""
    t = times(kernel, 3)
    alpha, sigma = (c.double() for c in kernel.marginal(t))
    x_0, noise = normal(2, 3, kernel.dim)
    # Not at a typical radius only: a Student t with many degrees of freedom has that too.
    noise = noise * torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)[:, None]
    found = kernel.log_density(over(alpha, x_0) * x_0 + over(sigma, x_0) * noise, x_0, t)
    expected = -noise.square().sum(1) / 2 - kernel.dim * (0.5 * math.log(2 * math.pi) + sigma.log())
    error = (found - expected).abs() / (1 + expected.abs())
    worst = int(error.argmax())
    if not float(error[worst]) <= _DENSITY_WITHIN:
        raise CheckFailure(
            f"gaussian is declared, but log_density at t = {float(t[worst]):.4g} is "
            f"{float(found[worst]):.6g}; that of N(alpha x_0, sigma^2 I) is "
            f"{float(expected[worst]):.6g}"
        )

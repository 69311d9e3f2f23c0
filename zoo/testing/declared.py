"""What a kernel declares: its levels, the spread that vanishes as t -> 0, its path, its law."""

from __future__ import annotations

import math

import torch

from zoo.errors import CheckFailure
from zoo.interfaces import FieldKernel, IsotropicKernel, over
from zoo.testing.numerics import generator, normal, spread_around, times

# Relative step of the derivatives of alpha and sigma, and tolerances.
_STEP = 1e-4
_VELOCITY_WITHIN = 1e-4
_DENSITY_WITHIN = 1e-6
# Upper bound of the noise at t_min, where data have size 1.
AT_FIRST = 0.05
_DRAWS = 256


def declarations(kernel: FieldKernel) -> None:
    """`affine`, `affine_path` and `gaussian`, where declared, are true of velocity and density."""
    if kernel.affine:
        affine(kernel)
    if kernel.affine_path:
        affine_path(kernel)
    if kernel.gaussian:
        gaussian(kernel)


def affine(kernel: FieldKernel) -> None:
    """`denoised` inverts the velocity: it gives x_0 back."""
    t = times(kernel, 5)[1:-1]
    x_0, x_t = normal(2, len(t), kernel.dim)
    found = kernel.denoised(kernel.velocity(x_t, x_0, t), x_t, t)
    error = (found - x_0).abs().amax(1) / x_0.abs().amax(1)
    worst = int(error.argmax())
    if not float(error[worst]) <= _VELOCITY_WITHIN:
        raise CheckFailure(
            f"affine is declared, but denoised(velocity(x_t, x_0, t), x_t, t) at "
            f"t = {float(t[worst]):.4g} is {float(error[worst]):.3g}, relative, from x_0; write "
            "denoised, whose default takes each coordinate by itself, or set affine = False"
        )


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


def concentration(kernel: FieldKernel) -> None:
    """All mass concentrates at x_0 as t -> 0: the mass farther away than epsilon vanishes."""
    x_0 = normal(1, kernel.dim).expand(_DRAWS, -1) / 2
    medians = []
    for t in times(kernel, 5).tolist():
        x = kernel.sample(x_0, t, generator(1))
        medians.append(float(spread_around(x, x_0).median()))
    if medians != sorted(medians) or not medians[0] <= AT_FIRST:
        text = ", ".join(f"{m:.3g}" for m in medians)
        raise CheckFailure(
            f"the median distance from x_0 over sqrt(d) is {text} at times from t_min to t_max; "
            f"expected at most {AT_FIRST:g} at t_min, and growing"
        )
    if isinstance(kernel, IsotropicKernel):
        early = kernel.t_min * torch.logspace(0, -12, 13, dtype=torch.float64)
        inside = kernel.radial_cdf(
            torch.full_like(early, medians[0] * math.sqrt(kernel.dim)), early
        )
        if not (bool((inside.diff() >= -1e-12).all()) and float(inside[-1]) > 1 - 1e-3):
            raise CheckFailure(
                f"psi at r = {medians[0] * math.sqrt(kernel.dim):.3g} is {float(inside[-1]):.6g} "
                f"at t = {float(early[-1]):.3g}; expected it to rise to 1 as t -> 0"
            )


def levels(kernel: FieldKernel) -> None:
    """level(t) grows, time_at inverts it, and samples have this spread."""
    t = times(kernel, 9)
    level = kernel.level(t)
    if level.shape != t.shape or not bool((level.diff() > 0).all() & (level > 0).all()):
        raise CheckFailure(f"level(t) is {level.tolist()}; expected it positive and growing")
    back = kernel.time_at(level)
    error = float((back / t - 1).abs().max())
    if not error < 1e-6:
        raise CheckFailure(f"time_at(level(t)) is off by {error:.3g}, relative; expected t")
    for time in t[::4].tolist():
        alpha, sigma = (float(c) for c in kernel.marginal(time))
        x_0 = normal(_DRAWS, kernel.dim) / 2
        x = kernel.sample(x_0, time, generator(1))
        found = float(spread_around(x, alpha * x_0).median())
        if not 0.5 < found / sigma < 2:
            raise CheckFailure(
                f"marginal says alpha = {alpha:.4g}, sigma = {sigma:.4g} at t = {time:.4g}, but "
                f"samples lie {found:.4g} sqrt(d) from alpha x_0"
            )

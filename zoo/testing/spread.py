"""The spread of a kernel: it vanishes as t -> 0, and grows with t as `level` says."""

from __future__ import annotations

import math

import torch

from zoo.errors import CheckFailure
from zoo.interfaces import FieldKernel, IsotropicKernel
from zoo.testing.numerics import generator, normal, spread_around, times

# Upper bound of the noise at t_min, where data have size 1.
AT_FIRST = 0.05
_DRAWS = 256


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

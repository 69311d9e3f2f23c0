"""Radii, directions and quantiles: the parts of an isotropic law in d dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.interfaces.kernel import over, randn
from zoo.numerics import solve_increasing

# Radii are looked for in e^-150 ... e^150 (1e-65 ... 1e65): their fourth powers are finite.
LOG_RADIUS_SPAN = 150.0


def radius(x_t: Tensor, x_0: Tensor) -> Tensor:
    """Return |x_t - x_0| per sample, shape (B,), float64: squares of a float32 may overflow."""
    r: Tensor = torch.linalg.vector_norm((x_t - x_0).flatten(1), dim=1, dtype=torch.float64)
    return r


def log_sphere_area(dim: int) -> float:
    """Return log S_d = log(2 pi^(d/2) / Gamma(d/2)), the area of the unit sphere in R^d."""
    return math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)


def log_shell(r: Tensor, dim: int) -> Tensor:
    """Return log(S_d r^(d-1)), the log area of the sphere of radius r, like r."""
    if dim == 1:
        return torch.full_like(r, math.log(2))  # also at r = 0, where 0 log 0 would be NaN
    return log_sphere_area(dim) + (dim - 1) * r.log()


def directions(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw unit vectors, uniform on the sphere, shaped like `like`: (B, *)."""
    u = randn(like.shape, like, generator)
    if u.numel() == len(u):
        u.masked_fill_(u == 0, 1.0)  # in one dimension a float32 draw of exactly 0 does happen
    return u.div_(over(u.flatten(1).norm(dim=1), u))


def uniform_open(n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Draw n uniforms strictly inside (0, 1), float64, on the generator's device then moved."""
    where = device if generator is None else generator.device
    u = torch.rand(n, generator=generator, device=where, dtype=torch.float64)
    return ((u * 2.0**53 + 0.5) / 2.0**53).clamp(max=1 - 2.0**-53).to(device)


def invert_cdf(cdf: Callable[[Tensor], Tensor], q: Tensor) -> Tensor:
    """Return the r with cdf(r) = q, like q, float64, by bracketed root finding in log r."""
    span = torch.full_like(q, LOG_RADIUS_SPAN)
    with torch.no_grad():
        log_r = solve_increasing(lambda u: cdf(u.exp()) - q, -span, span, at_low=-q, at_high=1 - q)
    return log_r.exp()

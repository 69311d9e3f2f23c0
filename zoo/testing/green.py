"""The two laws of Green's function: no divergence in (t, x), and mass one.

    d_t G_1 + div_x (G_1 v) = 0,   integral G_1 dx = 1

Densities underflow in high dimension, so the first is tested in logarithms,
d_t log G_1 + v . grad log G_1 + div v = 0, relative to |G| / t.
Source: kexue.fm/archives/9370, "Green's function".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import CheckFailure
from zoo.interfaces import FieldKernel, IsotropicKernel
from zoo.testing.numerics import generator, log_density_at, normal, require_mass_one, times

DIVERGENCE_WITHIN = 1e-8
# The trace of a Jacobian takes one backward pass per coordinate up to this dimension.
_FULL_TRACE = 16
_POINTS = 12


def _points(kernel: FieldKernel) -> tuple[Tensor, Tensor, Tensor]:
    """Return (x_t, x_0, t): samples at all times, at 0.3, 1 and 3 times their distance from x_0."""
    t = times(kernel, _POINTS)
    x_0 = normal(_POINTS, kernel.dim) / 2
    with torch.no_grad():
        x_t = kernel.sample(x_0, t, generator(1))
    factor = torch.tensor([0.3, 1.0, 3.0], dtype=torch.float64).repeat(_POINTS // 3)
    return x_0 + factor[:, None] * (x_t - x_0), x_0, t


def _trace(velocity: Tensor, x: Tensor) -> Tensor:
    """Return div v, (B,), exactly; by random signs if three estimates agree to rounding."""

    def along(v: Tensor) -> Tensor:
        if not velocity.requires_grad:
            return torch.zeros(len(x), dtype=x.dtype)
        (product,) = torch.autograd.grad(velocity, x, v, retain_graph=True, allow_unused=True)
        return torch.zeros(len(x), dtype=x.dtype) if product is None else (product * v).sum(dim=1)

    units = torch.eye(x.shape[1], dtype=x.dtype)
    if x.shape[1] > _FULL_TRACE:
        signs = normal(3, *x.shape, seed=2).sign()
        estimates = torch.stack([along(s) for s in signs])
        if bool((estimates.std(dim=0) <= 1e-12 * estimates[0].abs()).all()):
            return estimates[0]
    return torch.stack([along(unit.expand_as(x)) for unit in units]).sum(dim=0)


def _isotropic_divergence(kernel: IsotropicKernel, x: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
    """Return dw/dr + (d - 1) w / r, (B,), where w is the velocity along the ray from x_0."""
    offset = (x - x_0).detach()
    r = offset.norm(dim=1, keepdim=True)
    u = offset / r
    r = r.requires_grad_()
    along = (kernel.velocity(x_0 + r * u, x_0, t) * u).sum(dim=1)
    (slope,) = torch.autograd.grad(along.sum(), r)
    total: Tensor = slope[:, 0] + (kernel.dim - 1) * along / r[:, 0]
    return total


def divergence(kernel: FieldKernel) -> None:
    """The divergence of G in (t, x) vanishes away from its source."""
    x, x_0, t = _points(kernel)
    x.requires_grad_()
    t.requires_grad_()
    with torch.enable_grad():
        log_g = kernel.log_density(x, x_0, t)
        velocity = kernel.velocity(x, x_0, t)
        by_x, by_t = torch.autograd.grad(log_g.sum(), (x, t))
        if isinstance(kernel, IsotropicKernel) and kernel.dim > _FULL_TRACE:
            div = _isotropic_divergence(kernel, x, x_0, t)
        else:
            div = _trace(velocity, x)
    total = by_t + (velocity * by_x).sum(dim=1) + div
    error = (total * t / (1 + velocity.square().sum(dim=1)).sqrt()).abs().detach()
    worst = int(error.nan_to_num(math.inf).argmax())
    if not float(error[worst]) < DIVERGENCE_WITHIN:
        r = float((x - x_0)[worst].detach().norm())
        raise CheckFailure(
            f"|div G| is {float(error[worst]):.3g} |G| / t at t = {float(t[worst].detach()):.4g}, "
            f"r = {r:.4g}; G is conserved where it is below {DIVERGENCE_WITHIN:g}"
        )


def mass(kernel: FieldKernel) -> None:
    """G_1 integrates to 1: along a ray for isotropic kernels, over the plane for others.

    A kernel that is neither isotropic nor two-dimensional is not integrated. There the mass
    follows from the divergence and the concentration.
    """
    # Isotropic ones around 0, where a small radius keeps its digits. That G_1 depends on x_t - x_0
    # alone is tested by `density`.
    x_0 = normal(1, kernel.dim) / 2 * (not isinstance(kernel, IsotropicKernel))
    for t in times(kernel, 3).tolist():
        draws = kernel.sample(x_0.expand(64, -1), t, generator(1))
        require_mass_one(kernel, log_density_at(kernel, x_0, t), draws, f"G_1 at t = {t:.4g}")

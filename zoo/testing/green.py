"""The laws of Green's function: no divergence in (t, x), mass one, and what the radius says.

    d_t G_1 + div_x (G_1 v) = 0,   integral G_1 dx = 1

Densities underflow in high dimension, so the first is tested in logarithms,
d_t log G_1 + v . grad log G_1 + div v = 0, relative to |G| / t. Isotropic kernels are tested
against the radial CDF psi_t(r), differentiated by autodiff; others pass these checks:

    log G_1 = log d_r psi - log S_d - (d - 1) log r,   v = -(d_t psi / d_r psi) (x_t - x_0) / r

Source: kexue.fm/archives/9370, "Green's function" and "reverse construction".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import CheckFailure
from zoo.interfaces import FieldKernel, IsotropicKernel, directions, log_shell
from zoo.testing.numerics import generator, log_density_at, normal, require_mass_one, times

DIVERGENCE_WITHIN = 1e-8
# The trace of a Jacobian takes one backward pass per coordinate up to this dimension.
_FULL_TRACE = 16
_POINTS = 12
_RADIAL_WITHIN = 1e-6
_QUANTILES = (1e-3, 0.05, 0.3, 0.5, 0.8, 0.99, 1 - 1e-3)


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


def _grid(kernel: IsotropicKernel) -> tuple[Tensor, Tensor, Tensor]:
    """Return (r, t, q), each (n,), at all times and quantiles."""
    t = times(kernel, 3).repeat_interleave(len(_QUANTILES))
    q = torch.tensor(_QUANTILES, dtype=torch.float64).repeat(3)
    with torch.no_grad():
        return kernel.radial_icdf(q, t), t, q


def _slopes(kernel: IsotropicKernel, r: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return (d_r psi, d_t psi), by autodiff."""
    r = r.clone().requires_grad_()
    t = t.clone().requires_grad_()
    with torch.enable_grad():
        psi = kernel.radial_cdf(r, t)
        by_r, by_t = torch.autograd.grad(psi.sum(), (r, t))
    return by_r, by_t


def _require_close(
    found: Tensor, expected: Tensor, scale: Tensor, what: str, r: Tensor, t: Tensor
) -> None:
    error = ((found - expected) / scale).abs().nan_to_num(math.inf)
    worst = int(error.argmax())
    if float(error[worst]) > _RADIAL_WITHIN:
        raise CheckFailure(
            f"{what} is {float(found[worst]):.9g} at t = {float(t[worst]):.4g}, "
            f"r = {float(r[worst]):.4g}, but psi gives {float(expected[worst]):.9g}"
        )


def quantiles(kernel: FieldKernel) -> None:
    """radial_icdf inverts radial_cdf, which rises from 0 to 1."""
    if not isinstance(kernel, IsotropicKernel):
        return
    r, t, q = _grid(kernel)
    _require_close(kernel.radial_cdf(r, t), q, torch.minimum(q, 1 - q), "psi(psi^{-1}(q))", r, t)
    ends = kernel.radial_cdf(torch.tensor([1e-30, 1e30]).double() * float(r.max()), kernel.t_max)
    if not (abs(float(ends[0])) < _RADIAL_WITHIN and abs(float(ends[1]) - 1) < _RADIAL_WITHIN):
        low, high = ends.tolist()
        raise CheckFailure(f"psi runs from {low:.6g} to {high:.6g}; expected 0 to 1")


def _at(kernel: IsotropicKernel, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (x_t, x_0, u): points at distances r in random directions u."""
    x_0 = normal(len(r), kernel.dim) / 2
    # The source is no larger than the radius: otherwise x_t - x_0 would lose digits of r.
    x_0 = x_0 * (r / x_0.norm(dim=1)).clamp(max=1.0)[:, None]
    u = directions(x_0, generator(4))
    return x_0 + r[:, None] * u, x_0, u


def density(kernel: FieldKernel) -> None:
    """log_density and radius_log_density are the derivatives of psi, in any direction."""
    if not isinstance(kernel, IsotropicKernel):
        return
    r, t, _ = _grid(kernel)
    expected = _slopes(kernel, r, t)[0].log()
    one = torch.ones_like(r)
    radius = kernel.radius_log_density(r, t)
    _require_close(radius, expected, one, "the log density of the radius", r, t)
    x_t, x_0, _ = _at(kernel, r)
    found = kernel.log_density(x_t, x_0, t)
    # log_shell is of size d; the tolerance includes its rounding.
    shell = log_shell(r, kernel.dim)
    _require_close(found, expected - shell, one + shell.abs(), "log_density", r, t)


def velocity(kernel: FieldKernel) -> None:
    """The velocity points along x_t - x_0 and keeps psi constant, so mass is conserved."""
    if not isinstance(kernel, IsotropicKernel):
        return
    r, t, _ = _grid(kernel)
    by_r, by_t = _slopes(kernel, r, t)
    expected = -by_t / by_r
    x_t, x_0, u = _at(kernel, r)
    v = kernel.velocity(x_t, x_0, t)
    along = (v * u).sum(dim=1)
    _require_close(along, expected, expected.abs(), "the velocity along x_t - x_0", r, t)
    radial = kernel.radial_velocity(r, t)
    _require_close(radial, expected, expected.abs(), "radial_velocity", r, t)
    across = (v - along[:, None] * u).norm(dim=1)
    zero = torch.zeros_like(across)
    _require_close(across, zero, along.abs(), "the velocity across x_t - x_0", r, t)

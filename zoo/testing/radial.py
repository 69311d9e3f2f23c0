"""Laws of isotropic kernels, all against the radial CDF psi_t(r), differentiated by autodiff.

    log G_1 = log d_r psi - log S_d - (d - 1) log r,   v = -(d_t psi / d_r psi) (x_t - x_0) / r

Source: kexue.fm/archives/9370, "reverse construction". Kernels without psi pass these checks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import CheckFailure
from zoo.interfaces import FieldKernel, IsotropicKernel
from zoo.interfaces.radial import directions, log_shell
from zoo.testing.numerics import generator, normal, times

WITHIN = 1e-6
_QUANTILES = (1e-3, 0.05, 0.3, 0.5, 0.8, 0.99, 1 - 1e-3)


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
    if float(error[worst]) > WITHIN:
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
    if not (abs(float(ends[0])) < WITHIN and abs(float(ends[1]) - 1) < WITHIN):
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

"""Whether an isotropic kernel is right far out, where psi is 1 to rounding.

    d_t log p + v d_r log p + d_r v = 0,   p = d_r psi the density of the radius, v = dr/dt

holds at every radius, so it is tried at quantiles of 1e-7 on either side and from the median to
1e30 medians: a difference of terms that agree to rounding breaks it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces.isotropic import IsotropicKernel

_TAIL = 1e-7
_QUANTILES = (_TAIL, 1e-4, 0.1, 0.9, 1 - 1e-4, 1 - _TAIL)
_DECADES, _PER_DECADE = 30, 2
_WITHIN = 1e-6
# Relative distance of a second radius, and by how much its log density may be off the slope.
_STEP, _ROUGH = 1e-4, 1e-2
# A log density this low may be -inf a little farther out.
_LOW = -1e100


def far_radii(kernel: IsotropicKernel) -> tuple[Tensor, Tensor]:
    """Return (r, t), each (3, R), float64: increasing radii at t_min, t_max and between them."""
    ends = math.log(kernel.t_min), math.log(kernel.t_max)
    t = torch.linspace(*ends, 3, dtype=torch.float64).exp().clamp(kernel.t_min, kernel.t_max)
    q = torch.tensor([*_QUANTILES, 0.5], dtype=torch.float64)
    with torch.no_grad():
        radii = kernel.radial_icdf(q.expand(3, -1), t[:, None])
    factors = torch.logspace(0, _DECADES, _DECADES * _PER_DECADE + 1, dtype=torch.float64)
    r = torch.cat([radii[:, :-1], radii[:, -1:] * factors], dim=1).sort(dim=1).values
    return r, t[:, None].expand_as(r).contiguous()


def far_fault(kernel: IsotropicKernel) -> str | None:
    """Return where the density or the velocity is wrong far out, in words; None if nowhere."""
    r, t = far_radii(kernel)
    try:
        return _fault(kernel, r, t)
    except ZooError as error:  # the kernel says it itself
        return str(error)


def _fault(kernel: IsotropicKernel, r: Tensor, t: Tensor) -> str | None:
    with torch.inference_mode(False), torch.enable_grad():
        r, t = r.clone().requires_grad_(), t.clone().requires_grad_()
        log, v = kernel.radius_log_density(r, t), kernel.radial_velocity(r, t)
        by_r, by_t = _gradient(log, r, t)
        (slope,) = _gradient(v, r)
    log, v, r, t = (x.detach() for x in (log, v, r, t))
    with torch.no_grad():
        nearby = kernel.radius_log_density(r * (1 + _STEP), t) - log
    rough = (nearby - _STEP * r * by_r).abs() > _ROUGH * (1 + nearby.abs())
    parts = torch.stack([by_t * t, v * by_r * t, slope * t])
    error = parts.sum(0).abs() / parts.abs().sum(0)
    low = log.nan_to_num(nan=0.0, neginf=0.0).cummin(dim=1).values <= _LOW
    for bad, what in (
        (log.isnan() | ~(log.isfinite() | low), "the log density of the radius is {log:.6g}"),
        (~v.isfinite(), "dr/dt is {v:.6g}"),
        (~(error <= _WITHIN) & ~low, "mass is not conserved, by {error:.2g} of what flows"),
        (rough & ~low, "the log density of the radius, {log:.6g}, jumps"),
        (error > _WITHIN, "mass is not conserved, by {error:.2g} of what flows"),
    ):
        if bool(bad.any()):
            at = bad.nonzero()[0]
            here = {n: float(x[*at]) for n, x in {"log": log, "v": v, "error": error}.items()}
            where = f"at r = {float(r[*at]):.3g}, t = {float(t[*at]):.3g}"
            return f"{what.format(**here)} {where}"
    return None


def _gradient(of: Tensor, *inputs: Tensor) -> list[Tensor]:
    if not of.requires_grad:
        return [torch.zeros_like(x) for x in inputs]
    found = torch.autograd.grad(of.sum(), inputs, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]

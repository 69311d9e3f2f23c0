"""Whether kernels and priors are right as far out as samples, sources and float32 reach.

Sources of an exact field lie 1e6 noise levels away and more, and one of ten million draws from the
prior lies beyond its quantile 1 - 1e-7.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import CheckFailure
from zoo.interfaces import FieldKernel, IsotropicKernel, directions, far_fault
from zoo.testing.numerics import generator, normal, times

# Distances of isotropic kernels and of others, as powers of ten: the squares of the first are no
# float32.
_DECADES, _OTHER_DECADES = 30, 8
# A noise level above this says no more than it: that of flow matching is infinite at t_max.
_LEVEL_CAP = 1e3
_SINGLE_WITHIN, _LARGEST = 1e-3, 1e37


def factors(kernel: FieldKernel) -> Tensor:
    """Return by how much farther out to look, from 1 to 1e30 or 1e8, (n,), float64."""
    decades = _DECADES if isinstance(kernel, IsotropicKernel) else _OTHER_DECADES
    return torch.logspace(0, decades, decades + 1, dtype=torch.float64)


def rays(kernel: FieldKernel, radii: Tensor) -> Tensor:
    """Return points at these distances from 0, one direction each, (n, d), float64."""
    return radii[:, None] * directions(normal(len(radii), kernel.dim), generator(6))


def far(kernel: FieldKernel) -> None:
    """Density and velocity are finite to 1e30 noise levels (1e8 of kernels that are not isotropic).

    They are equal in float32 and float64; those of isotropic kernels conserve mass, from quantiles
    of 1e-7 to 1e30 medians.
    """
    if isinstance(kernel, IsotropicKernel) and (fault := far_fault(kernel)):
        raise CheckFailure(f"far out, {fault}")
    for t in times(kernel, 3).tolist():
        level = float(kernel.level(torch.tensor(t, dtype=torch.float64)).clamp(max=_LEVEL_CAP))
        x_t = rays(kernel, factors(kernel) * level * math.sqrt(kernel.dim)).float()
        _agree(kernel, x_t, t)


def _agree(kernel: FieldKernel, x_t: Tensor, t: float) -> None:
    """Raise CheckFailure unless float32 and float64 give the same finite results."""
    both = [(x, torch.zeros_like(x)) for x in (x_t.double(), x_t)]
    v, single = (kernel.velocity(x, x_0, t).flatten(1) for x, x_0 in both)
    log, log_single = (kernel.log_density(x, x_0, t) for x, x_0 in both)
    require_far(v.isfinite().all(1) & single.isfinite().all(1), x_t, t, "velocity is not finite")
    # A density may be too small for its log to be a float32, whose largest number is 3.4e38.
    sound = log.isfinite() & (log_single.isfinite() | (log < -_LARGEST))
    require_far(sound, x_t, t, "log_density is not finite")
    close = (v - single).norm(dim=1) <= _SINGLE_WITHIN * v.norm(dim=1)
    require_far(close, x_t, t, "velocity differs in float32 and float64")
    close = (log - log_single).abs() <= _SINGLE_WITHIN * (1 + log.abs())
    require_far(close | (log < -_LARGEST), x_t, t, "log_density differs in float32 and float64")


def require_far(sound: Tensor, x: Tensor, t: float, what: str) -> None:
    """Raise CheckFailure, naming the first |x| (n, d) and t, unless all of `sound` (n,) is true."""
    if not bool(sound.all()):
        r = float(x[int((~sound).nonzero()[0])].double().norm())
        raise CheckFailure(f"{what} at |x_t - x_0| = {r:.3g}, t = {t:.4g}")

"""Whether a function depends on r / t alone: then x_t = x_0 + t z and v = (x_t - x_0) / t.

It does where Euler's r d_r f + t d_t f = 0 holds. That is tried on a grid over many decades of
both; a formula that passes there passes everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.numerics import LogJet, jet

_TOLERANCE, _ROUNDING = 1e-9, 1e-14
_ENOUGH = 8  # points at each time where the derivatives are neither 0 nor out of range


def _on_grid(function: Callable[..., Any]) -> tuple[LogJet, Tensor, Tensor]:
    """Return (derivatives, r, t) on a grid, shape (times, ratios)."""
    t = torch.logspace(-4, 4, 7, dtype=torch.float64)[:, None]
    ratio = torch.logspace(-3, 4, 57, dtype=torch.float64)[None, :]
    r, t = ratio * t, t.expand(-1, ratio.shape[1])
    with torch.no_grad():
        return jet(function, r, t), r.contiguous(), t.contiguous()


def depends_on_ratio(psi: Callable[..., Any]) -> bool:
    """Return whether psi(r, t) is a function of r / t."""
    at, r, t = _on_grid(psi)
    by_r, by_t = at.slope(0).mantissa * r, at.slope(1).mantissa * t
    usable = by_r.isfinite() & by_t.isfinite() & (by_r != 0)
    off, size = (by_r + by_t).abs(), by_r.abs()
    equal = off <= _TOLERANCE * size
    # Or both are rounding beside where psi rises.
    unit = at.exponent.exp()
    most = torch.where(usable, size * unit, 0.0).amax(dim=1, keepdim=True)
    equal |= off * unit <= _ROUNDING * most
    return bool((usable.sum(dim=1) >= _ENOUGH).all()) and bool((equal | ~usable).all())


def depends_on_ratio_but_for_scale(phi: Callable[..., Any]) -> bool:
    """Return whether phi(r, t) is a function of t times a function of r / t."""
    at, r, t = _on_grid(phi)
    by_r, by_t = at.log_slope(0) * r, at.log_slope(1) * t
    usable = by_r.isfinite() & by_t.isfinite()
    total = torch.where(usable, by_r + by_t, torch.nan)
    spread = (total - total.nanmedian(dim=1, keepdim=True).values).abs()
    size = by_r.abs() + by_t.abs() + 1
    equal = spread <= _TOLERANCE * size
    return bool((usable.sum(dim=1) >= _ENOUGH).all()) and bool((equal | ~usable).all())

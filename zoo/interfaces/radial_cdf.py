"""What a function has to satisfy to be a radial CDF: refused at once, with a place where it fails.

    psi_t(0) = 0,   psi_t(inf) = 1,   increasing in r,   psi_t(r) -> 1 for every r > 0 as t -> 0

Source: kexue.fm/archives/9370, "reverse construction", conditions 1 to 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces.radial import LOG_RADIUS_SPAN

RadialCDF = Callable[[Tensor, Tensor], Tensor]

_COARSE, _FINE, _TIMES = 1841, 400, 5
_END_SLACK = 1e-3
# Incomplete functions near 1 jitter by the root of the working precision.
_ROUNDING = 1e-5


def check_radial_cdf(psi: RadialCDF, t_min: float, t_max: float, *, argument: str) -> None:
    """Raise ZooError, naming `argument`, unless psi is a radial CDF at every time probed."""
    logs = torch.linspace(math.log(t_min), math.log(t_max), _TIMES, dtype=torch.float64)
    for t in logs.exp():
        _check_in_r(psi, t, argument)
    _check_limit(psi, t_min, t_max, argument)


def _evaluate(psi: RadialCDF, r: Tensor, t: Tensor, argument: str) -> Tensor:
    with torch.no_grad():
        value = psi(r, t.expand_as(r))
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.expand_as(r)
    if not isinstance(value, Tensor) or value.shape != r.shape:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ZooError(f"{argument} gives {shape} for r of shape {tuple(r.shape)}; expected like r")
    return value


def _check_in_r(psi: RadialCDF, t: Tensor, argument: str) -> None:
    r = torch.linspace(-LOG_RADIUS_SPAN, LOG_RADIUS_SPAN, _COARSE, dtype=torch.float64).exp()
    r, value = _finite(r, _evaluate(psi, r, t, argument), t, argument)
    at = f"at t = {float(t):g}"
    low, high = float(value[0]), float(value[-1])
    if not abs(low) <= _END_SLACK:
        raise ZooError(f"{argument} tends to {low:g} as r -> 0 {at}; a radial CDF tends to 0")
    if not abs(high - 1) <= _END_SLACK:
        raise ZooError(f"{argument} tends to {high:g} as r -> inf {at}; a radial CDF tends to 1")
    # Once more, closely, where it rises.
    rising = (value > _END_SLACK) & (value < 1 - _END_SLACK)
    first = int(rising.nonzero()[0]) if bool(rising.any()) else int((value < 0.5).sum())
    last = int(rising.nonzero()[-1]) if bool(rising.any()) else first
    ends = r[max(first - 1, 0)].log(), r[min(last + 1, len(r) - 1)].log()
    fine = torch.linspace(float(ends[0]), float(ends[1]), _FINE, dtype=torch.float64).exp()
    for radii, values in ((r, value), (fine, _evaluate(psi, fine, t, argument))):
        bad = (values.diff() < -_ROUNDING).nonzero()
        if len(bad):
            raise ZooError(
                f"{argument} decreases in r near r = {float(radii[bad[0]]):g} {at}; "
                "a radial CDF increases"
            )


def _finite(r: Tensor, value: Tensor, t: Tensor, argument: str) -> tuple[Tensor, Tensor]:
    """Return the run of finite values around r = t; overflow is allowed at absurd radii only."""
    bad = ~value.isfinite()
    near = bad & ((r / t).log().abs() < math.log(1e9))
    if bool(near.any()):
        raise ZooError(f"{argument} is not finite at r = {float(r[near][0]):g}, t = {float(t):g}")
    keep = ~bad
    return r[keep], value[keep]


def _check_limit(psi: RadialCDF, t_min: float, t_max: float, argument: str) -> None:
    ends = math.log(t_max), math.log(t_min) - LOG_RADIUS_SPAN
    t = torch.linspace(*ends, _COARSE, dtype=torch.float64).exp()
    r = torch.ones(1, dtype=torch.float64)
    with torch.no_grad():
        value = psi(r.expand_as(t), t)
    value = value[value.isfinite()]
    last = float(value[-1]) if len(value) else math.nan
    if not abs(last - 1) <= _END_SLACK:
        raise ZooError(
            f"{argument} tends to {last:g} at r = 1 as t -> 0; a kernel concentrates on the data, "
            "so it has to tend to 1"
        )

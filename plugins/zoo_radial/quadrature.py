"""Integrals of a radial density over the inside or the outside of a sphere, in logarithms.

With u = log r and h(u) = log phi(e^u) + d u, the mass inside is S_d times the integral of e^h
over (-inf, u], outside over [u, inf). The integrand falls away from u on the side that does not
hold its mode, at a rate between 1 and d: e^(h(u + s x) - h(u)) is integrated over x in (0, inf)
in units of the distance where h has fallen by one, by a double-exponential rule, so nothing
underflows whatever the dimension.

Source of the rule: Takahasi and Mori, Publ. RIMS 9 (1974); x = exp(y - exp(-y)).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.numerics import solve_increasing

_STEP, _FIRST, _LAST = 0.0625, -3.8, 6.2
# A distance in log r to within a per cent is enough to scale the rule.
_LOG_DISTANCE, _ROUGH = (-30.0, 7.0), 1e-2


def half_line(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of the rule on (0, inf), shape (N,), float64, for e^(-x)."""
    y = torch.arange(_FIRST, _LAST, _STEP, dtype=torch.float64, device=device)
    nodes = (y - (-y).exp()).exp()
    return nodes, _STEP * nodes * (1 + (-y).exp())


def fall_distance(h: Callable[[Tensor], Tensor], u: Tensor, side: Tensor) -> Tensor:
    """Return the x > 0 with h(u + side x) = h(u) - 1, roughly; like u, without gradient."""
    low, high = (torch.full_like(u, end) for end in _LOG_DISTANCE)
    with torch.no_grad():
        top = h(u)
        log_x = solve_increasing(
            lambda w: top - h(u + side * w.exp()) - 1,
            low,
            high,
            at_low=-torch.ones_like(u),
            at_high=torch.ones_like(u),
            tolerance=_ROUGH,
        )
    return log_x.exp()

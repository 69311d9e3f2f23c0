"""Everything about a radial density phi_t(r) that takes an integral: mass, CDF, inverse, flow.

phi is given up to a factor of t; r^d phi has one maximum in r. All radii are handled as
u = log r, all densities as h(u) = log phi_t(e^u) + d u, the log density of u itself.

The mass inside is S_d times the integral of e^h over (-inf, u], outside over [u, inf). The
integrand falls away from u on the side that does not hold its mode, at a rate between 1 and d:
e^(h(u + s x) - h(u)) is integrated over x in (0, inf) in units of the distance where h has fallen
by one, by a double-exponential rule, so nothing underflows whatever the dimension.

Source of the rule: Takahasi and Mori, Publ. RIMS 9 (1974); x = exp(y - exp(-y)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import log_sphere_area
from zoo.numerics import broadcast, jet, log_value, solve_increasing

LOG_SPAN = 150.0
# Relative distance of nodes in log r below which rounding costs more than the rule's curvature.
_CLOSEST = 3e-9
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
            lambda w: top - h(u + side * w.exp()) - 1, low, high, tolerance=_ROUGH
        )
    return log_x.exp()


class RadialLaw(NamedTuple):
    """phi_t at one time, or at one time per sample: each like t, float64.

    Attributes:
        t: the time.
        mode: log of a radius near which r^d phi is largest.
        log_mass: log of the integral of phi over R^d.
        below: distance in log r below the mode where r^d phi has fallen to 1/e.
        above: the same above the mode.
    """

    t: Tensor
    mode: Tensor
    log_mass: Tensor
    below: Tensor
    above: Tensor

    def like(self, r: Tensor) -> tuple[Tensor, RadialLaw]:
        """Return (r, the law) in float64, of one shape."""
        r, *parts = broadcast(r.double(), *self)
        return r, RadialLaw(*parts)


class RadialDensity:
    """phi_t(r) as a function of (r, t), in `dim` dimensions."""

    def __init__(self, phi: Callable[..., Any], dim: int) -> None:
        self.phi, self.dim = phi, dim

    def check(self, times: Tensor) -> None:
        """Raise ZooError unless phi is positive and has a finite integral at every time."""
        law = self.law(times)
        with torch.no_grad():
            value = log_value(self.phi, law.mode.exp(), times)
        for bad, what in (
            (~value.isfinite(), "is not positive and finite near its mode"),
            (law.mode.abs() > LOG_SPAN - 1, "cannot be integrated over r in (0, infinity)"),
            (~law.log_mass.isfinite(), "has no finite integral"),
        ):
            if bool(bad.any()):
                t = float(times[bad][0])
                raise ZooError(f"phi {what} at t = {t:g} in {self.dim} dimensions")

    def height(self, u: Tensor, t: Tensor) -> Tensor:
        """Return h(u) = log phi_t(e^u) + d u."""
        u, t = broadcast(u, t)
        return log_value(self.phi, u.exp(), t) + self.dim * u

    def law(self, t: Tensor) -> RadialLaw:
        """Find the mode and integrate to both sides of it."""
        t = t.double()
        with torch.no_grad():
            one, span = torch.ones_like(t), torch.full_like(t, LOG_SPAN)
            mode = solve_increasing(
                lambda u: -self.dim - u.exp() * jet(self.phi, u.exp(), t).log_slope(0),
                -span,
                span,
                tolerance=1e-9,
            )
            below, above = (
                fall_distance(lambda v: self.height(v, t), mode, side * one) for side in (-1, 1)
            )
        mass = self._nodes(mode, t, -below)[1].sum(-1) + self._nodes(mode, t, above)[1].sum(-1)
        log_mass = log_sphere_area(self.dim) + self.height(mode, t) + mass.log()
        return RadialLaw(t, mode, log_mass, below, above)

    def log_phi(self, r: Tensor, law: RadialLaw) -> Tensor:
        """Return log phi_t(r), normalised, like r."""
        return log_value(self.phi, r, law.t) - law.log_mass

    def _nodes(self, u: Tensor, t: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return nodes beyond u, on the side of the sign of `scale`, and their masses.

        Shapes (*, N); the masses w e^(h(node) - h(u)) sum to the integral of e^(h - h(u)).
        """
        nodes, weights = half_line(u.device)
        at = u[..., None] + scale[..., None] * nodes
        fall = self.height(at, t[..., None]) - self.height(u, t)[..., None]
        mass = scale.abs()[..., None] * weights * fall.exp()
        return at, torch.where(mass > 0, mass, 0.0)  # far out phi may be a plain NaN

    def _outwards(self, u: Tensor, law: RadialLaw) -> Tensor:
        """Return the scale of the rule beyond u: negative below the mode, positive above."""
        below = u <= law.mode
        with torch.no_grad():
            # h falls by one at x: h'(u) x + h''(mode) x^2 / 2 = 1, near enough to scale the rule.
            slope = (self.dim + u.exp() * jet(self.phi, u.exp(), law.t).log_slope(0)).abs()
            curve = 2 / torch.where(below, law.below, law.above).square()
            distance = 2 / (slope + (slope.square() + 2 * curve).sqrt())
        return torch.where(below, -distance, distance)

    def _rate(self, u: Tensor, t: Tensor) -> Tensor:
        """Return d_t log phi_t(e^u)."""
        return jet(self.phi, *broadcast(u.exp(), t)).log_slope(1).expand_as(u)

    def log_odds(self, u: Tensor, law: RadialLaw) -> Tensor:
        """Return log(psi / (1 - psi)) at radius e^u, like u."""
        scale = self._outwards(u, law)
        beyond = self._nodes(u, law.t, scale)[1].sum(-1).log()
        log = self.height(u, law.t) + beyond + log_sphere_area(self.dim) - law.log_mass
        rest = torch.log1p(-log.exp().clamp(max=1.0))
        return torch.where(scale < 0, log - rest, rest - log)

    def invert(self, odds: Tensor, law: RadialLaw) -> Tensor:
        """Return the u whose log odds are `odds`, like odds, without gradient."""
        with torch.no_grad():
            reach = 2 + odds.abs()
            low, high = law.mode - reach * law.below, law.mode + reach * law.above
            at_low, at_high = (self.log_odds(u, law) - odds for u in (low, high))
            # A law that falls off ever more slowly may reach beyond: then everything is searched.
            below, above = at_low < 0, at_high > 0
            return solve_increasing(
                lambda u: self.log_odds(u, law) - odds,
                torch.where(below, low, -LOG_SPAN),
                torch.where(above, high, LOG_SPAN),
                at_low=torch.where(below, at_low, -math.inf),
                at_high=torch.where(above, at_high, math.inf),
            )

    def drift(self, law: RadialLaw) -> Tensor:
        """Return d_t log_mass, the mean of d_t log phi, like t."""
        total, flow = torch.zeros_like(law.t), torch.zeros_like(law.t)
        for scale in (-law.below, law.above):
            at, mass = self._nodes(law.mode, law.t, scale)
            rate = torch.where(mass > 0, self._rate(at, law.t[..., None]), 0.0)
            total, flow = total + mass.sum(-1), flow + (mass * rate).sum(-1)
        return flow / total

    def velocity(self, r: Tensor, drift: Tensor, law: RadialLaw) -> Tensor:
        """Return dr/dt = r varphi_t(r) / phi_t(r), like r; phi normalised by its drift.

        Integrated over the side of r that does not hold the mode: both sides give the same flow,
        since the mass of all of R^d stays 1.
        """
        u = r.log()
        scale = self._outwards(u, law)
        # Nodes that rounding moves are of no use; then the rate is that at u (Watson's lemma).
        far = scale.abs() < _CLOSEST * u.abs().clamp(min=1.0)
        # Taken from the mode instead, what is not used has finite derivatives.
        start, wide = torch.where(far, law.mode, u), torch.where(far, law.above, scale)
        nodes, mass = self._nodes(start, law.t, wide)
        rate = self._rate(nodes, law.t[..., None]) - drift[..., None]
        flow = torch.where(mass > 0, mass * rate, 0.0).sum(-1)
        flow = torch.where(far, scale.abs() * (self._rate(u, law.t) - drift), flow)
        return scale.sign() * r * flow

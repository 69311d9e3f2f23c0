"""A kernel from any radial density phi_t(r), by the integral of space-time separation.

    varphi_t(r) = -r^(-d) d_t integral_0^r phi_t(s) s^(d-1) ds,   v = (varphi / phi) (x_t - x_0)

    zoo.kernel("phi", dim=784, phi="exp(-r**2 / (2*t**2))")

Source: kexue.fm/archives/9370, "space-time separation".
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import IsotropicKernel
from zoo.interfaces.radial import log_shell, log_sphere_area
from zoo.numerics import FormulaLike, broadcast, formula, jet, log_value, solve_increasing
from zoo_radial.quadrature import fall_distance, half_line

_LOG_SPAN = 150.0
_TIMES = 5


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


class PhiKernel(IsotropicKernel):
    """p_t(x_t | x_0) = phi_t(r) / integral of phi_t.

    Args:
        dim: number of coordinates d.
        phi: phi_t(r) up to a factor of t, which is found by quadrature: a formula of r, t, d and
            parameters, or a callable of (r, t) written with torch. r^d phi has one maximum in r.
        t_min: first time; by default matched to EDM's sigma_min by radius.
        t_max: time of the prior; by default matched to EDM's sigma_max by radius.
        parameters: numbers for the other names in the formula.

    Raises:
        ZooError: phi is not a formula, is not positive, cannot be integrated over R^d, or does
            not concentrate as t -> 0.
    """

    def __init__(
        self,
        *,
        dim: int,
        phi: FormulaLike,
        t_min: float | None = None,
        t_max: float | None = None,
        **parameters: float,
    ) -> None:
        self._phi = formula(
            phi, ("r", "t"), argument="phi", parameters=parameters, constants={"d": dim}
        )
        self.dim = dim
        if t_min is None or t_max is None:
            self._check(torch.ones(1, dtype=torch.float64))
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)
        logs = torch.linspace(math.log(self.t_min), math.log(self.t_max), _TIMES)
        self._check(logs.double().exp())
        early = torch.tensor(self.t_min * 1e-36, dtype=torch.float64)
        inside = float(self.radial_cdf(torch.ones_like(early), early))
        if not inside > 1 - 1e-3:
            raise ZooError(
                f"phi has {inside:g} of its mass within r = 1 as t -> 0; a kernel concentrates on "
                "the data, so all of it has to be there"
            )

    def _check(self, times: Tensor) -> None:
        law = self._law(times)
        with torch.no_grad():
            value = log_value(self._phi, law.mode.exp(), times)
        for bad, what in (
            (~value.isfinite(), "is not positive and finite near its mode"),
            (law.mode.abs() > _LOG_SPAN - 1, "cannot be integrated over r in (0, infinity)"),
            (~law.log_mass.isfinite(), "has no finite integral"),
        ):
            if bool(bad.any()):
                t = float(times[bad][0])
                raise ZooError(f"phi {what} at t = {t:g} in {self.dim} dimensions")

    def _height(self, u: Tensor, t: Tensor) -> Tensor:
        """Return h(u) = log phi_t(e^u) + d u."""
        u, t = broadcast(u, t)
        return log_value(self._phi, u.exp(), t) + self.dim * u

    def _law(self, t: Tensor) -> RadialLaw:
        t = t.double()
        span = torch.full_like(t, _LOG_SPAN)
        with torch.no_grad():
            one = torch.ones_like(t)
            mode = solve_increasing(
                lambda u: -self.dim - u.exp() * jet(self._phi, u.exp(), t).log_slope(0),
                -span, span, at_low=-one, at_high=one, tolerance=1e-9,
            )
            below, above = (
                fall_distance(lambda v: self._height(v, t), mode, s * one) for s in (-1.0, 1.0)
            )
        mass = self._nodes(mode, t, -below)[1].sum(-1) + self._nodes(mode, t, above)[1].sum(-1)
        log_mass = log_sphere_area(self.dim) + self._height(mode, t) + mass.log()
        return RadialLaw(t, mode, log_mass, below, above)

    def _nodes(self, u: Tensor, t: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return nodes beyond u, on the side of the sign of `scale`, and their masses.

        Shapes (*, N); the masses w e^(h(node) - h(u)) sum to the integral of e^(h - h(u)).
        """
        nodes, weights = half_line(u.device)
        at = u[..., None] + scale[..., None] * nodes
        fall = self._height(at, t[..., None]) - self._height(u, t)[..., None]
        mass = scale.abs()[..., None] * weights * fall.exp()
        return at, torch.where(mass > 0, mass, 0.0)  # far out phi may be a plain NaN

    def _outwards(self, u: Tensor, law: RadialLaw) -> Tensor:
        """Return the scale of the rule beyond u: negative below the mode, positive above."""
        side = torch.where(u <= law.mode, -1.0, 1.0).to(u)
        return side * fall_distance(lambda v: self._height(v, law.t), u, side)

    def _rate(self, u: Tensor, t: Tensor) -> Tensor:
        """Return d_t log phi_t(e^u)."""
        return jet(self._phi, *broadcast(u.exp(), t)).log_slope(1).expand_as(u)

    def _drift(self, law: RadialLaw) -> Tensor:
        """Return d_t log_mass, the mean of d_t log phi."""
        total, flow = torch.zeros_like(law.t), torch.zeros_like(law.t)
        for scale in (-law.below, law.above):
            at, mass = self._nodes(law.mode, law.t, scale)
            rate = torch.where(mass > 0, self._rate(at, law.t[..., None]), 0.0)
            total, flow = total + mass.sum(-1), flow + (mass * rate).sum(-1)
        return flow / total

    def _log_odds(self, u: Tensor, law: RadialLaw) -> Tensor:
        """Return log(psi / (1 - psi)) at radius e^u, like u."""
        scale = self._outwards(u, law)
        beyond = self._nodes(u, law.t, scale)[1].sum(-1).log()
        log = self._height(u, law.t) + beyond + log_sphere_area(self.dim) - law.log_mass
        rest = torch.log1p(-log.exp().clamp(max=1.0))
        return torch.where(scale < 0, log - rest, rest - log)

    def _law_like(self, t: Tensor | float, r: Tensor) -> tuple[Tensor, RadialLaw]:
        """Return (r, law) in float64, of one shape."""
        law = self._law(torch.as_tensor(t, dtype=torch.float64, device=r.device))
        r, *parts = broadcast(r.double(), *law)
        return r, RadialLaw(*parts)

    def radial_cdf(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return psi_t(r), the mass of phi_t within r, like r."""
        at, law = self._law_like(t, r)
        return self._log_odds(at.log(), law).sigmoid().to(r)

    def radial_icdf(self, q: Tensor, t: Tensor | float) -> Tensor:
        """Return the r with psi_t(r) = q, like q; differentiable in q and t."""
        target, law = self._law_like(t, q)
        odds = target.log() - torch.log1p(-target)
        with torch.no_grad():
            r = self._invert(odds, law).exp()
        if torch.is_grad_enabled() and (target.requires_grad or law.t.requires_grad):
            slope = self.radius_log_density(r, law.t.detach()).detach().exp()
            r = r + (target - self._log_odds(r.log(), law).sigmoid()) / slope
        return r.to(q)

    def _invert(self, odds: Tensor, law: RadialLaw) -> Tensor:
        """Return the u whose log odds are `odds`, like odds."""
        reach = 2 + odds.abs()
        low, high = law.mode - reach * law.below, law.mode + reach * law.above
        at_low, at_high = (self._log_odds(u, law) - odds for u in (low, high))
        # A law that falls off ever more slowly may reach beyond: then everything is searched.
        below, above = at_low < 0, at_high > 0
        low, at_low = torch.where(below, low, -_LOG_SPAN), torch.where(below, at_low, -math.inf)
        high, at_high = torch.where(above, high, _LOG_SPAN), torch.where(above, at_high, math.inf)
        return solve_increasing(
            lambda u: self._log_odds(u, law) - odds, low, high, at_low=at_low, at_high=at_high
        )

    def log_phi(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return log phi_t(r), normalised, like r."""
        at, law = self._law_like(t, r)
        return (log_value(self._phi, at, law.t) - law.log_mass).to(r)

    def radius_log_density(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return log phi + log S_d + (d - 1) log r, like r."""
        return self.log_phi(r, t) + log_shell(r, self.dim)

    def radial_velocity(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return dr/dt = r varphi_t(r) / phi_t(r), like r.

        Integrated over the side of r that does not hold the mode: both sides give the same flow,
        since the mass of all of R^d stays 1.
        """
        at, law = self._law_like(t, r)
        u = at.log()
        scale = self._outwards(u, law)
        nodes, mass = self._nodes(u, law.t, scale)
        rate = self._rate(nodes, law.t[..., None]) - self._drift(law)[..., None]
        flow = torch.where(mass > 0, mass * rate, 0.0).sum(-1)
        return (scale.sign() * at * flow).to(r)

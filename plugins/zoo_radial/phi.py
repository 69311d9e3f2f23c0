"""A kernel from any radial density phi_t(r), by the integral of space-time separation.

    varphi_t(r) = -r^(-d) d_t integral_0^r phi_t(s) s^(d-1) ds,   v = (varphi / phi) (x_t - x_0)

    zoo.kernel("phi", dim=784, phi="exp(-r**2 / (2*t**2))")

Source: kexue.fm/archives/9370, "space-time separation".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import IsotropicKernel, SelfSimilarKernel, log_shell
from zoo.numerics import FormulaLike, formula
from zoo_radial.density import RadialDensity, RadialLaw
from zoo_radial.far_end import require_far_end
from zoo_radial.ratio import depends_on_ratio_but_for_scale

Law = Callable[..., Any]

_TIMES = 5
# phi is looked at these close to t = 0, relative to t_min.
_EARLY = (1e-36, 1e-24, 1e-12, 1e-6)


def phi_kernel(
    *,
    dim: int,
    phi: FormulaLike,
    t_min: float | None = None,
    t_max: float | None = None,
    **parameters: float,
) -> IsotropicKernel:
    """Return the kernel with p_t(x_t | x_0) = phi_t(r) / integral of phi_t.

    A phi that depends on r / t alone, but for a factor of t, makes a self-similar kernel, whose
    velocity is (x_t - x_0) / t and whose network predicts the denoiser; any other one makes a
    kernel whose network predicts the field.

    Args:
        dim: number of coordinates d.
        phi: phi_t(r) up to a factor of t, which is found by quadrature: a formula of r, t, d and
            parameters, or a callable of (r, t) written with torch. r^d phi has one maximum in r.
        t_min: first time; by default matched to EDM's sigma_min by radius.
        t_max: time of the prior; by default matched to EDM's sigma_max by radius.
        parameters: numbers for the other names in the formula.

    Raises:
        ZooError: phi is not a formula, is not positive, cannot be integrated over R^d, does not
            concentrate as t -> 0, or loses its digits far out.
    """
    law = formula(phi, ("r", "t"), argument="phi", parameters=parameters, constants={"d": dim})
    similar = depends_on_ratio_but_for_scale(law)
    kind = UnitPhiKernel if similar else PhiKernel
    kernel: IsotropicKernel = kind(dim=dim, phi=law, t_min=t_min, t_max=t_max)
    return require_far_end(kernel, "phi", phi)


class UnitPhiKernel(SelfSimilarKernel):
    """phi_t(r), a function of r / t but for a factor of t; made by `phi_kernel`."""

    def __init__(
        self, *, dim: int, phi: Law, t_min: float | None = None, t_max: float | None = None
    ) -> None:
        self._density = RadialDensity(phi, dim)
        one = torch.ones(1, dtype=torch.float64)
        self._density.check(one)
        self._law = self._density.law(one[0])
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)

    def _at(self, rho: Tensor) -> tuple[Tensor, RadialLaw]:
        return RadialLaw(*(part.to(rho.device) for part in self._law)).like(rho)

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return the mass within rho, like rho."""
        at, law = self._at(rho)
        return self._density.log_odds(at.log(), law).sigmoid().to(rho)

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return the rho that holds the mass q, like q."""
        target, law = self._at(q)
        return self._density.invert(torch.logit(target), law).exp().to(q)

    def unit_log_phi(self, rho: Tensor) -> Tensor:
        """Return the log of the formula, normalised, like rho."""
        return self._density.log_phi(*self._at(rho)).to(rho)

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return unit_log_phi + log S_d + (d - 1) log rho, like rho."""
        return self.unit_log_phi(rho) + log_shell(rho, self.dim)


class PhiKernel(IsotropicKernel):
    """p_t(x_t | x_0) = phi_t(r) / integral of phi_t, made by `phi_kernel`."""

    def __init__(
        self, *, dim: int, phi: Law, t_min: float | None = None, t_max: float | None = None
    ) -> None:
        self._density = RadialDensity(phi, dim)
        if t_min is None or t_max is None:
            # Without an integral there is no median either: refuse it before looking for times.
            self._density.check(torch.ones(1, dtype=torch.float64))
            self._check_limit(1.0)
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)
        logs = torch.linspace(math.log(self.t_min), math.log(self.t_max), _TIMES)
        self._density.check(logs.double().exp())
        self._check_limit(self.t_min)

    def _check_limit(self, t: float) -> None:
        inside = 0.0
        for early in _EARLY:  # a law that shrinks fast is out of reach at the smallest of them
            at = torch.tensor(t * early, dtype=torch.float64)
            inside = float(self.radial_cdf(torch.ones_like(at), at))
            if inside > 1 - 1e-3:
                return
        raise ZooError(
            f"phi has {inside:g} of its mass within r = 1 as t -> 0; a kernel concentrates on the "
            "data, so all of it has to be there"
        )

    def _law(self, t: Tensor | float, r: Tensor) -> RadialLaw:
        return self._density.law(torch.as_tensor(t, dtype=torch.float64, device=r.device))

    def _radial_cdf(self, r: Tensor, t: Tensor | float) -> Tensor:
        at, law = self._law(t, r).like(r)
        return self._density.log_odds(at.log(), law).sigmoid().to(r)

    def _radial_icdf(self, q: Tensor, t: Tensor | float) -> Tensor:
        target, law = self._law(t, q).like(q)
        odds = torch.logit(target)
        u = self._density.invert(odds.detach(), law)
        if torch.is_grad_enabled() and (target.requires_grad or law.t.requires_grad):
            # One Newton step moves nothing but carries the implicit function's derivatives.
            slope = self.radius_log_density(u.exp(), law.t.detach()).detach() + u
            step = target - self._density.log_odds(u, law).sigmoid()
            return (u.exp() * (1 + step / slope.exp())).to(q)
        return u.exp().to(q)

    def _log_phi(self, r: Tensor, t: Tensor | float) -> Tensor:
        return self._density.log_phi(*self._law(t, r).like(r)).to(r)

    def _radius_log_density(self, r: Tensor, t: Tensor | float) -> Tensor:
        return self.log_phi(r, t) + log_shell(r, self.dim)

    def _radial_velocity(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return dr/dt = r varphi_t(r) / phi_t(r) by quadrature, like r."""
        law = self._law(t, r)
        drift = self._density.drift(law)
        at, wide = law.like(r)
        return self._density.velocity(at, drift.expand_as(at), wide).to(r)

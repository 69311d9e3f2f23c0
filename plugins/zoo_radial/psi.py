"""The reverse construction: a kernel from any radial CDF psi_t(r).

    phi = d_r psi / (S_d r^(d-1)),   v = -((d_t psi + lambda'_t) / d_r psi) (x_t - x_0) / r

    zoo.kernel("psi", dim=784, psi="tanh((r/t)**beta)", beta=1.5)

The article's two examples, tanh(r / t) and 1 - exp(-r / t), are in closed form: both are
self-similar, so v = (x_t - x_0) / t. For d >= 2 their densities are singular at x_0, like r^(1-d),
and their median radius is about t, not t sqrt(d): T has to be large.
Source: kexue.fm/archives/9370, "reverse construction".
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.interfaces import IsotropicKernel, SelfSimilarKernel, check_radial_cdf
from zoo.numerics import FormulaLike, finite_value, formula, jet
from zoo_radial.far_end import require_far_end
from zoo_radial.ratio import depends_on_ratio

Law = Callable[..., Any]

# Times at which lambda_t is looked at.
_PROBES = 65
_ONE = torch.ones((), dtype=torch.float64)


class TanhKernel(SelfSimilarKernel):
    """psi_t(r) = tanh(r / t): a conditional trajectory is r = t artanh(q)."""

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return tanh(rho)."""
        return torch.tanh(rho)

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return artanh(q)."""
        return torch.atanh(q)

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return log(1 / cosh^2 rho) = log 4 - 2 rho - 2 log(1 + exp(-2 rho)), like rho."""
        # Not log1p, which takes six times as long: this is right to a rounding of 1 in the log.
        return math.log(4) - 2 * rho - 2 * (1 + (-2 * rho).exp()).log()


class ExpKernel(SelfSimilarKernel):
    """psi_t(r) = 1 - exp(-r / t): a conditional trajectory is r = -t log(1 - q)."""

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return 1 - exp(-rho)."""
        return -torch.expm1(-rho)

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return -log(1 - q)."""
        return -torch.log1p(-q)

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return -rho."""
        return -rho


def psi_kernel(
    *,
    dim: int,
    psi: FormulaLike,
    t_min: float | None = None,
    t_max: float | None = None,
    lambda_t: FormulaLike | None = None,
    **parameters: float,
) -> IsotropicKernel:
    """Return the kernel whose radius has the CDF psi_t(r).

    A psi that depends on r / t alone makes a self-similar kernel, whose velocity is
    (x_t - x_0) / t and whose network predicts the denoiser; any other one makes a kernel whose
    network predicts the field.

    Args:
        dim: number of coordinates d.
        psi: a formula of r, t, d and parameters, such as "tanh((r/t)**beta)", or a callable of
            (r, t) written with torch.
        t_min: first time; by default matched to EDM's sigma_min by radius.
        t_max: time of the prior; by default matched to EDM's sigma_max by radius.
        lambda_t: a function of t added to psi in the flux only. The article allows any; one that
            is not constant makes a point source of flux at x_0, so mass is no longer conserved,
            and a warning says so.
        parameters: numbers for the other names in the formula.

    Raises:
        ZooError: psi is not a formula, or not a radial CDF
            (`zoo.interfaces.check_radial_cdf`), or it loses its digits far out.
    """
    law = formula(psi, ("r", "t"), argument="psi", parameters=parameters, constants={"d": dim})
    rise = None if lambda_t is None else formula(lambda_t, ("t",), argument="lambda_t")
    if rise is None and depends_on_ratio(law):
        finite = partial(finite_value, law)  # as IsotropicKernel.radial_cdf has it
        similar = UnitPsiKernel(dim=dim, psi=finite, t_min=t_min, t_max=t_max)
        return require_far_end(similar, "psi", psi)
    kernel = PsiKernel(dim=dim, psi=law, rise=rise, t_min=t_min, t_max=t_max)
    return require_far_end(kernel, "psi", psi) if kernel.conserves_mass else kernel


class UnitPsiKernel(SelfSimilarKernel):
    """psi_t(r) as given, a function of r / t alone; made by `psi_kernel`."""

    def __init__(
        self, *, dim: int, psi: Law, t_min: float | None = None, t_max: float | None = None
    ) -> None:
        self._psi = psi
        check_radial_cdf(psi, 1.0, 2.0, argument="psi")
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return psi_1(rho), like rho."""
        value: Tensor = self._psi(rho, _ONE)
        return value


class PsiKernel(IsotropicKernel):
    """psi_t(r) as given, made by `psi_kernel`; derivatives in logarithms, inverse by bracketing.

    Attributes:
        conserves_mass: False where lambda_t was given and is not constant.
    """

    def __init__(
        self,
        *,
        dim: int,
        psi: Law,
        rise: Law | None = None,
        t_min: float | None = None,
        t_max: float | None = None,
    ) -> None:
        self._psi, self._rise = psi, rise
        if t_min is None or t_max is None:
            # A function that is no CDF has no median either: refuse it before looking for times.
            check_radial_cdf(self.radial_cdf, 1.0, 1.0, argument="psi")
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)
        check_radial_cdf(self.radial_cdf, self.t_min, self.t_max, argument="psi")
        times = torch.linspace(self.t_min, self.t_max, _PROBES, dtype=torch.float64)
        self.conserves_mass = rise is None or bool((self._rise_rate(times) == 0).all())
        if not self.conserves_mass:
            warnings.warn(
                "lambda_t is not constant: its flux has a point source at x_0, so this kernel does "
                "not conserve mass and its samples do not follow the data",
                stacklevel=3,
            )

    def _radial_cdf(self, r: Tensor, t: Tensor | float) -> Tensor:
        value: Tensor = self._psi(r, _ONE * t if isinstance(t, (int, float)) else t)
        return value

    def _rise_rate(self, t: Tensor) -> Tensor:
        """Return lambda'_t, like t."""
        if self._rise is None:
            return torch.zeros_like(t)
        return jet(self._rise, t).slope(0).value().expand_as(t)

    def _radial_velocity(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return dr/dt = -(d_t psi + lambda'_t) / d_r psi, like r."""
        velocity = super()._radial_velocity(r, t)
        if self.conserves_mass:
            return velocity
        t = torch.as_tensor(t, dtype=torch.float64, device=r.device)
        return velocity - self._rise_rate(t).to(r) * (-self.radius_log_density(r, t)).exp()

"""Isotropic kernels: everything follows from one radial CDF psi_t(r), r = |x_t - x_0|.

    phi_t(r) = d_r psi / (S_d r^(d-1)),   v = -(d_t psi / d_r psi) (x_t - x_0) / r

where S_d is the area of the unit sphere in R^d. v moves every point at constant psi, so a
conditional trajectory keeps its quantile q: r(t) = psi_t^{-1}(q).

Source: kexue.fm/archives/9370, section "reverse construction".
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces.checks import check_radial
from zoo.interfaces.kernel import FieldKernel, moved, over
from zoo.interfaces.radial import directions, invert_cdf, log_shell, radius, uniform_open
from zoo.interfaces.radial_cdf import check_radial_cdf
from zoo.numerics import LogJet, broadcast, finite_value, jet, solve_increasing

# A sample's noise level lies below this quantile of its law once in ten thousand draws.
LEAST_QUANTILE = 1e-4
# EDM's sigma_min and sigma_max (arXiv:2206.00364, table 1): default ends of every kernel's times.
LEVEL_RANGE = (0.002, 80.0)
# Times are looked for in e^-100 ... e^100.
_LOG_TIME_SPAN = 100.0


class IsotropicKernel(FieldKernel):
    """A kernel given by its radial CDF; write `_radial_cdf` and the rest follows numerically.

    class Cubic(IsotropicKernel):
        def _radial_cdf(self, r, t):
            return torch.tanh((r / t) ** 3)

    Densities and velocities come from derivatives in logarithms (zoo.numerics.jet), so they
    stay right far out, where psi is 1 to rounding, also of quotients. Where psi has a function
    without a rule there, derivatives are those of autodiff, which underflow: `far_fault` tells.
    Override any method that has a closed form.

    Args:
        dim: number of coordinates d.
        t_min: first time; by default the one whose median radius is that of Gaussian noise of
            EDM's sigma_min = 0.002 (arXiv:2206.00364, table 1).
        t_max: time of the prior; by default the same at sigma_max = 80.

    Raises:
        ZooError: dim is no whole number of at least 1, or not 0 < t_min < t_max < inf.
    """

    affine = False
    random_level = True

    def __init__(self, *, dim: int, t_min: float | None = None, t_max: float | None = None) -> None:
        super().__init__(dim=dim, t_min=1.0, t_max=2.0)  # the times below need a checked dim
        if t_min is None or t_max is None:
            first, last = self._default_times()
            t_min, t_max = first if t_min is None else t_min, last if t_max is None else t_max
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)

    def _default_times(self) -> tuple[float, float]:
        ends = self._time_of_level(torch.tensor(LEVEL_RANGE, dtype=torch.float64)).tolist()
        for name, t, level in zip(("t_min", "t_max"), ends, LEVEL_RANGE, strict=True):
            if not abs(math.log(t)) < _LOG_TIME_SPAN - 1:
                # A function that is no CDF has no median either: that is the better message.
                check_radial_cdf(
                    self.radial_cdf, 1.0, 1.0, argument=f"psi of {type(self).__name__}"
                )
                raise ZooError(
                    f"{name} cannot be matched: no time of {type(self).__name__} has a median "
                    f"radius of {level:g} sqrt(d); give t_min and t_max"
                )
        return ends[0], ends[1]

    def _time_of_level(self, level: Tensor) -> Tensor:
        """Return the t with noise level `level`, like level, float64."""
        return self._time_of_median(level.double() * math.sqrt(self.dim))

    def _time_of_median(self, r: Tensor) -> Tensor:
        """Return the t with psi_t(r) = 1/2, like r, float64."""
        span, half = torch.full_like(r, _LOG_TIME_SPAN), torch.full_like(r, 0.5)
        with torch.no_grad():
            log_t = solve_increasing(
                lambda u: 0.5 - self.radial_cdf(r, u.exp()), -span, span, at_low=-half, at_high=half
            )
        return log_t.exp()

    def radial_cdf(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return psi_t(r) = P(|x_t - x_0| <= r), like r; differentiable in r and t.

        Raises:
            ZooError: as in all radial methods, a negative radius, t <= 0, shapes that do not fit.
        """
        check_radial("r", r, t)
        return finite_value(self._radial_cdf, r, t)

    def radial_icdf(self, q: Tensor, t: Tensor | float) -> Tensor:
        """Return the r with psi_t(r) = q, like q, for q in (0, 1); differentiable in q and t."""
        check_radial("q", q, t, most=1)
        return self._radial_icdf(q, t)

    def radius_log_density(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return log d_r psi_t(r), the log density of the radius itself, like r."""
        check_radial("r", r, t)
        return self._radius_log_density(r, t)

    def radial_velocity(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return dr/dt = -d_t psi / d_r psi at constant quantile, like r."""
        check_radial("r", r, t)
        return self._radial_velocity(r, t)

    def log_phi(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return log phi_t(r) = log d_r psi - log S_d - (d - 1) log r, like r.

        The density of x_t as a function of its distance from x_0; t broadcasts over r.
        """
        check_radial("r", r, t)
        return self._log_phi(r, t)

    @abstractmethod
    def _radial_cdf(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return what `radial_cdf` does, of checked arguments."""

    def _radial_icdf(self, q: Tensor, t: Tensor | float) -> Tensor:
        target = q.double()
        t = torch.as_tensor(t, dtype=torch.float64, device=q.device).expand_as(target)
        r = invert_cdf(lambda r: self.radial_cdf(r, t), target)
        if torch.is_grad_enabled() and (target.requires_grad or t.requires_grad):
            # One Newton step moves nothing but carries the implicit function's derivatives.
            slope = self.radius_log_density(r, t.detach()).detach().exp()
            r = r + (target - self.radial_cdf(r, t)) / slope
        return r.to(q)

    def _jet(self, r: Tensor, t: Tensor | float) -> LogJet:
        time = torch.as_tensor(t, dtype=torch.float64, device=r.device)
        return jet(self.radial_cdf, *broadcast(r.double(), time))

    def _radius_log_density(self, r: Tensor, t: Tensor | float) -> Tensor:
        log = self._jet(r, t).slope(0).log()
        return self._without_nan(log, r, t, "the log density of the radius").to(r)

    def _radial_velocity(self, r: Tensor, t: Tensor | float) -> Tensor:
        at = self._jet(r, t)
        rate = -at.slope(1).mantissa / at.slope(0).mantissa
        return self._without_nan(rate, r, t, "dr/dt").to(r)

    def _without_nan(self, value: Tensor, r: Tensor, t: Tensor | float, what: str) -> Tensor:
        """Return the value; raise ZooError if it is NaN at a finite radius, on the CPU."""
        if value.device.type != "cpu" or not bool(value.isnan().any()):
            return value
        r, time, value = broadcast(r, torch.as_tensor(t), value)
        bad = value.isnan() & r.isfinite()
        if bool(bad.any()):
            at = f"r = {r[bad][0].item():.4g}, t = {time[bad][0].item():.4g}"
            raise ZooError(
                f"{what} of {type(self).__name__} is NaN at {at}, where its radial CDF is 0 or 1 "
                "to rounding: write the CDF with functions that zoo.numerics.jet has rules "
                "for, or write _radius_log_density and _radial_velocity too"
            )
        return value

    def _log_phi(self, r: Tensor, t: Tensor | float) -> Tensor:
        return self.radius_log_density(r, t) - log_shell(r, self.dim)

    def _log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return log phi_t(|x_t - x_0|), shape (B,); computed in float64."""
        r = radius(x_t, x_0).clamp(min=1e-100)
        return self.log_phi(r, _like_radius(t, r)).to(torch.result_type(x_t, x_0))

    def _velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return v = (dr/dt) (x_t - x_0) / r, shape (B, *)."""
        # At r = 0 the rate may be infinite but the vector is 0: so is v.
        r = radius(x_t, x_0).clamp(min=1e-100)
        rate = self.radial_velocity(r, _like_radius(t, r)) / r
        return over(rate, x_t) * (x_t - x_0)

    def _sample(self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None) -> Tensor:
        """Draw x_t = x_0 + psi_t^{-1}(q) u, q uniform in (0, 1), u uniform on the sphere."""
        u = directions(x_0, generator)
        q = uniform_open(len(x_0), generator, x_0.device)
        return moved(x_0, over(self.radial_icdf(q, _like_radius(t, q)), x_0), u)

    def _level_at(self, q: float, t: Tensor | float) -> Tensor:
        t = torch.as_tensor(t, dtype=torch.float64)
        return self.radial_icdf(torch.full_like(t, q), t) / math.sqrt(self.dim)

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (1, median radius / sqrt d), float64."""
        level = self._level_at(0.5, t)
        return torch.ones_like(level), level

    def least_level(self, t: Tensor | float) -> Tensor:
        """Return the noise level that only one sample in ten thousand stays below, shape of t."""
        return self._level_at(LEAST_QUANTILE, t)

    def time_at(self, level: Tensor | float) -> Tensor:
        """Return the t in [t_min, t_max] of median radius level sqrt d, shape of level, float64."""
        t = self._time_of_level(torch.as_tensor(level, dtype=torch.float64))
        return t.clamp(self.t_min, self.t_max)

    def _match_time(self, other: FieldKernel, t: Tensor) -> Tensor:
        # Equal median radius also where the levels of `other` are not its median radii.
        if not isinstance(other, IsotropicKernel):
            return super()._match_time(other, t)
        median = other.radial_icdf(torch.full_like(t, 0.5), t)
        return self._time_of_median(median).clamp(self.t_min, self.t_max)


def _like_radius(t: Tensor | float, r: Tensor) -> Tensor:
    """Return t in float64, a scalar or one per sample, that broadcasts over r, shape (B,)."""
    t = torch.as_tensor(t, dtype=torch.float64, device=r.device)
    return t.reshape(()) if t.numel() == 1 else t

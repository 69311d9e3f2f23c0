"""Any pair (alpha_t, sigma_t): x_t = alpha_t x_0 + sigma_t z.

    zoo.kernel("interpolant", dim=2, alpha="cos(pi*t/2)", sigma="sin(pi*t/2)")

Source: kexue.fm/archives/9370, "summary"; Stochastic interpolants, arXiv:2303.08797, section 2.
"""

from __future__ import annotations

from torch import Tensor

from zoo import ZooError
from zoo.interfaces import LEVEL_RANGE, FieldKernel, GaussianPathKernel, PathCoefficients
from zoo.numerics import FormulaLike, formula, jet, occurring
from zoo_gaussian.schedules import check_increasing, time_of_level

# alpha is looked at this close to t = 0, relative to t_min.
_NEARLY_ZERO = 1e-12


class InterpolantKernel(GaussianPathKernel):
    """p_t(x_t | x_0) = N(alpha_t x_0, sigma_t^2 I).

    Args:
        dim: number of coordinates d.
        alpha: signal scale as a formula of t or a callable written with torch; tends to 1 as
            t -> 0.
        sigma: noise scale, likewise; sigma / alpha increases.
        t_min: first time; by default the one with sigma / alpha = 0.002.
        t_max: time of the prior.
        parameters: numbers for the other names in the formulas.

    Raises:
        ZooError: a formula cannot be read, sigma / alpha does not increase, or alpha does not
            tend to 1.
    """

    def __init__(
        self,
        *,
        dim: int,
        alpha: FormulaLike,
        sigma: FormulaLike,
        t_min: float | None = None,
        t_max: float = 1.0,
        **parameters: float,
    ) -> None:
        in_alpha = occurring(alpha, ("t",), parameters, argument="alpha")
        in_sigma = occurring(sigma, ("t",), parameters, argument="sigma")
        for name in parameters.keys() - in_alpha.keys() - in_sigma.keys():
            raise ZooError(f"unknown option {name!r}: it occurs in neither alpha nor sigma")
        self._alpha = formula(alpha, ("t",), argument="alpha", parameters=in_alpha)
        self._sigma = formula(sigma, ("t",), argument="sigma", parameters=in_sigma)
        FieldKernel.__init__(self, dim=dim, t_min=t_max * 1e-30, t_max=t_max)
        if t_min is None:
            t_min = time_of_level(self.level, LEVEL_RANGE[0], self.t_max)
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)
        check_increasing("sigma / alpha", self.level, self.t_min, self.t_max)
        start = float(self.marginal(self.t_min * _NEARLY_ZERO)[0])
        if not abs(start - 1) < 1e-3:
            raise ZooError(f"alpha tends to {start:g} as t -> 0; expected 1, so that x_0 is data")

    def coefficients(self, t: Tensor) -> PathCoefficients:
        """Return the formulas' values and derivatives at t."""
        values = []
        for function in (self._alpha, self._sigma):
            at = jet(function, t)
            values.append((at.plain.expand_as(t), at.slope(0).value().expand_as(t)))
        (alpha, d_alpha), (sigma, d_sigma) = values
        return PathCoefficients(alpha, sigma, d_alpha, d_sigma)

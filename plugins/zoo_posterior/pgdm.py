"""Pseudo-inverse guidance: Song et al., ICLR 2023 (openreview 9_gsMA8MRKQ), equations 7 and 8.

    D(x | y) = D + c s^2 (grad D)^T A^T (r^2 A A^T + I)^{-1} (y - A D),   r^2 = s^2 v / (s^2 + v)

x_0 given x_t has the covariance r^2, one number, with v the variance of the data. Where that is
too small for some direction the step goes too far: c <= 1 shortens it (zoo_posterior.guided).
"""

from __future__ import annotations

from torch import Tensor

from zoo.interfaces import SIGMA_DATA, Estimate, Observation, PosteriorMethod, check_positive
from zoo.numerics import minimal_residual
from zoo_posterior.guided import damped

_ITERATIONS, _TOLERANCE = 50, 1e-4


class PGDM(PosteriorMethod):
    """The gradient of log p(y | x_t) with one number for the covariance of x_0 given x_t.

    One pass back through the network, under random levels two, and of small samples more: see mmps.

    Args:
        sigma_data: standard deviation of the data per coordinate, in their own units; None for the
            network's.

    Raises:
        ZooError: sigma_data is not positive.
    """

    def __init__(self, *, sigma_data: float | None = None) -> None:
        if sigma_data is not None:
            check_positive("sigma_data", sigma_data)
        self.sigma_data = sigma_data

    def denoise(self, at: Estimate, seen: Observation) -> Tensor:
        """Return E[x_0 | x_t, y], shape (B, *shape)."""
        near = seen.near(at.denoised)
        variance, square = self._variance(at, seen), at.level.square()
        spread = (square * variance / (square + variance)).to(at.x)

        def direction(p: Tensor) -> tuple[Tensor, Tensor]:
            return p, near.push(spread * near.pull(p)) + p

        weight = minimal_residual(
            direction, near.residual, iterations=_ITERATIONS, tolerance=_TOLERANCE
        )
        return at.denoised + damped(near, at.covariance(near.pull(weight)), weight)

    def _variance(self, at: Estimate, seen: Observation) -> Tensor | float:
        """Return v in the units of the network, a number or (1, *shape)."""
        if self.sigma_data is None:
            return (at.network.sigma_data or SIGMA_DATA) ** 2
        if seen.scale is None:
            return self.sigma_data**2
        return (self.sigma_data / seen.scale.to(at.level)).square()

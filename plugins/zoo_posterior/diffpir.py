"""DiffPIR: Zhu et al., arXiv:2305.08995, equation 13.

    D(x | y) = argmin_z |y - A z|^2 + (lambda / s^2) |z - D|^2
             = D + r^2 A^T (r^2 A A^T + I)^{-1} (y - A D),   r^2 = s^2 / lambda

A proximal step from D towards y, with no gradient through the network: the fastest evaluation. What
is not seen is not moved, and follows by the next evaluations alone.
"""

from __future__ import annotations

from torch import Tensor

from zoo.interfaces import Estimate, Observation, PosteriorMethod, check_positive
from zoo.numerics import minimal_residual

_ITERATIONS, _TOLERANCE = 50, 1e-4


class DiffPIR(PosteriorMethod):
    """A proximal step towards y. No pass back through the network.

    Args:
        weight: lambda, how much the denoiser is trusted; large for little change.

    Raises:
        ZooError: weight is not positive.
    """

    gradient = False
    divides_by_noise = False

    def __init__(self, *, weight: float = 1.0) -> None:
        self.weight = check_positive("weight", weight)

    def denoise(self, at: Estimate, seen: Observation) -> Tensor:
        """Return E[x_0 | x_t, y], shape (B, *shape)."""
        near = seen.near(at.denoised)
        spread = (at.level.square() / self.weight).to(at.x)

        def direction(p: Tensor) -> tuple[Tensor, Tensor]:
            step = spread * near.pull(p)
            return step, near.push(step) + seen.noise.variance * p

        return at.denoised + minimal_residual(
            direction, near.residual, iterations=_ITERATIONS, tolerance=_TOLERANCE
        )

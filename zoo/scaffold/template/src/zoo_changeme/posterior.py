"""A method of posterior sampling: x_0 given x_t is taken for a Gaussian, and y as seen of it.

D(x | y) = D + V A^T (A V A^T + I)^{-1} (y - A D), V = Cov(x_0 | x_t), solved in two directions.
"""

from torch import Tensor
from zoo.interfaces import Estimate, Observation, PosteriorMethod
from zoo.numerics import minimal_residual


class ChangemeMethod(PosteriorMethod):
    """The mean of that Gaussian given y."""

    def denoise(self, at: Estimate, seen: Observation) -> Tensor:
        """Return E[x_0 | x_t, y], shape (B, *shape)."""
        near = seen.near(at.denoised)

        def direction(p: Tensor) -> tuple[Tensor, Tensor]:
            step = at.covariance(near.pull(p))
            return step, near.push(step) + p

        return at.denoised + minimal_residual(direction, near.residual, iterations=2)

"""Diffusion posterior sampling: Chung et al., arXiv:2209.14687, algorithm 1.

    D(x | y) = D - step s^2 grad_x |y - A D(x)|^2 / 2

The paper's step, zeta / |y - A D| of a sampler with 1,000 steps, is a constant found by trial. Here
it is zeta times the step that fits y best along the gradient, so it depends neither on the number
of steps nor on the noise.
"""

from __future__ import annotations

from torch import Tensor

from zoo.interfaces import Estimate, Observation, PosteriorMethod, check_positive
from zoo_posterior.guided import damped


class DPS(PosteriorMethod):
    """One step down the gradient of the residual, through the network.

    One pass back through the network, under random levels two, and of small samples more: see mmps.
    Any operator that is differentiable.

    Args:
        zeta: step, in units of the one that fits y best.

    Raises:
        ZooError: zeta is not positive.
    """

    def __init__(self, *, zeta: float = 1.0) -> None:
        self.zeta = check_positive("zeta", zeta)

    def denoise(self, at: Estimate, seen: Observation) -> Tensor:
        """Return E[x_0 | x_t, y], shape (B, *shape)."""
        near = seen.near(at.denoised)
        step = at.covariance(near.pull(near.residual))
        return at.denoised + self.zeta * damped(near, step, near.residual)

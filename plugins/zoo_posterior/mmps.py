"""Moment matching posterior sampling: Rozet et al., arXiv:2405.13712, algorithm 2.

    D(x | y) = D + V A^T (A V A^T + I)^{-1} (y - A D),   V = Cov(x_0 | x_t) = s^2 grad D

which is exact where x_0 given x_t is Gaussian, as for Gaussian data. One direction of the solve is
one pass back through the network. The paper solves by conjugate gradients; conjugate residuals do
as well on a Jacobian that is not quite symmetric, and never make the residual larger.

A covariance has no negative direction. A network's Jacobian may have one, where A V A^T + I is next
to singular and a step of any length: the solve of that row ends there, as Steihaug's does (SIAM J.
Numer. Anal. 20, 1983).
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import (
    Estimate,
    Observation,
    PosteriorMethod,
    check_integer,
    check_real,
)
from zoo.numerics import beside, minimal_residual, row_dot


class MMPS(PosteriorMethod):
    """The Gaussian with the denoiser's mean and the covariance of its Jacobian, given y.

    Up to `iterations` passes back through the network, and under random levels one more: d more
    in d <= 32 dimensions and 8 up to 128, where one probe of the Jacobian's trace tells too little.

    Args:
        iterations: directions of the solve at most, each one pass back through the network.
        tolerance: residual of the solve that is small enough, relative to that of y.

    Raises:
        ZooError: an option out of range.
    """

    def __init__(self, *, iterations: int = 3, tolerance: float = 1e-3) -> None:
        self.iterations = check_integer("iterations", iterations, 1)
        self.tolerance = check_real("tolerance", tolerance, "a number of at least 0", least=0)

    def denoise(self, at: Estimate, seen: Observation) -> Tensor:
        """Return E[x_0 | x_t, y], shape (B, *shape)."""
        near = seen.near(at.denoised)

        def direction(p: Tensor) -> tuple[Tensor, Tensor]:
            step = at.covariance(near.pull(p))
            image = near.push(step)
            known = row_dot(p, image) >= 0
            summed = torch.where(beside(known, step), step, 0)
            return summed, torch.where(beside(known, image), image + p, 0)

        shift = minimal_residual(
            direction, near.residual, iterations=self.iterations, tolerance=self.tolerance
        )
        return at.denoised + shift

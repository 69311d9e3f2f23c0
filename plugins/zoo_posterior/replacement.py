"""Replacement, as in RePaint: Lugmayr et al., arXiv:2201.09865, algorithm 1, without resampling.

    D(x | y) = D + A^+ (y - A D)  while s |A^T e| > |e|,   D after that

e = A A^+ (y - A D), the part of the residual that x can account for, in units in which the noise
of y is N(0, I): it replaces as long as the noise of A x along e is larger, s > sigma_y for a mask.

What is seen of x_t is y with noise of the SAMPLE'S OWN level: RePaint draws that noise anew for
each time, whose level is a sample's own only if the time fixes it. Here the ODE keeps the noise
that the sample has had from the start, y + s n with n = (x_T - y) / s_T, under every kernel: that
is what dx/ds = (x - D) / s does to coordinates whose D is y.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import Estimate, Observation, PosteriorMethod, over
from zoo.numerics import minimal_residual, row_norm

_ITERATIONS, _TOLERANCE = 50, 1e-4


class Replacement(PosteriorMethod):
    """What is seen takes the place of what the model makes of it. For linear operators.

    No pass back through the network. What is hidden learns of y through the network alone.
    """

    gradient = False
    divides_by_noise = False
    linear = True

    def denoise(self, at: Estimate, seen: Observation) -> Tensor:
        """Return E[x_0 | x_t, y], shape (B, *shape)."""
        near = seen.near(at.denoised)

        def direction(p: Tensor) -> tuple[Tensor, Tensor]:
            step = near.pull(p)
            return step, near.push(step)

        change = minimal_residual(
            direction, near.residual, iterations=_ITERATIONS, tolerance=_TOLERANCE
        )
        fitted = near.push(change)
        seen_as, changed = row_norm(fitted.double()), row_norm(near.pull(fitted).double())
        louder = at.level.flatten() * changed > seen_as * seen.noise.variance
        return at.denoised + torch.where(over(louder, change).bool(), change, 0)

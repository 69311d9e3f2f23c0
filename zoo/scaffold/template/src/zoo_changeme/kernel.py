"""A field kernel given by the CDF of its radius; r = |x_t - x_0| depends on r/t alone.

    psi_t(r) = 1 - exp(-r^2 / t^2)

Density, velocity, samples and times follow from it: see zoo.interfaces.SelfSimilarKernel.
"""

import torch
from torch import Tensor
from zoo.interfaces import SelfSimilarKernel


class ChangemeKernel(SelfSimilarKernel):
    """x_t = x_0 + t z, where z has a uniform direction and a length of Rayleigh's law."""

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return P(|z| <= rho) = 1 - exp(-rho^2), like rho."""
        return -torch.expm1(-(rho**2))

"""Screened gravity, psi_t(r) = P(2, r/t); in R^3 that is Yukawa's e^(-r/t) / (4 pi t^2 r)."""

import torch

from zoo.interfaces import SelfSimilarKernel


class YukawaKernel(SelfSimilarKernel):
    """The radius follows a Gamma law of shape 2 and scale t; all else follows from that."""

    random_level = False  # no heavy tail: t determines the noise level of a sample well

    def unit_cdf(self, rho: torch.Tensor) -> torch.Tensor:
        """Return P(2, rho) = 1 - (1 + rho) e^-rho, the regularised incomplete gamma function."""
        return torch.special.gammainc(torch.full_like(rho, 2.0), rho)

"""Screened gravity, psi_t(r) = P(2, r/t); in R^3 that is Yukawa's e^(-r/t) / (4 pi t^2 r)."""

import torch
from scipy.special import gammaincinv

from zoo.interfaces import SelfSimilarKernel


class YukawaKernel(SelfSimilarKernel):
    """The radius follows a Gamma law of shape 2 and scale t; all else follows from that."""

    def unit_cdf(self, rho: torch.Tensor) -> torch.Tensor:
        return torch.special.gammainc(torch.full_like(rho, 2.0), rho)

    def unit_icdf(self, q: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(gammaincinv(2.0, q.detach().double().cpu().numpy())).to(q)

    def unit_log_density(self, rho: torch.Tensor) -> torch.Tensor:
        return rho.log() - rho

"""The article's two examples of a radial CDF: tanh(r / t) and 1 - exp(-r / t).

Both are self-similar, so v = (x_t - x_0) / t. For d >= 2 their densities are singular at x_0,
like r^(1-d), and their median radius is about t, not t sqrt(d): T has to be large.
Source: kexue.fm/archives/9370, "reverse construction".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.interfaces import SelfSimilarKernel


class TanhKernel(SelfSimilarKernel):
    """psi_t(r) = tanh(r / t): a conditional trajectory is r = t artanh(q)."""

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return tanh(rho)."""
        return torch.tanh(rho)

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return artanh(q)."""
        return torch.atanh(q)

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return log(1 / cosh^2 rho) = log 4 - 2 rho - 2 log(1 + exp(-2 rho)), like rho."""
        # Not log1p, which takes six times as long: this is right to a rounding of 1 in the log.
        return math.log(4) - 2 * rho - 2 * (1 + (-2 * rho).exp()).log()


class ExpKernel(SelfSimilarKernel):
    """psi_t(r) = 1 - exp(-r / t): a conditional trajectory is r = -t log(1 - q)."""

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return 1 - exp(-rho)."""
        return -torch.expm1(-rho)

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return -log(1 - q)."""
        return -torch.log1p(-q)

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return -rho."""
        return -rho

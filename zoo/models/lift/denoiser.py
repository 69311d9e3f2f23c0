"""A network trained under one Gaussian kernel as the denoiser of any noise level."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, Network, over
from zoo.models.exact.gaussians import check_gaussian

NEED = "a lift goes from a Gaussian kernel to an isotropic or Gaussian one"


class GaussianDenoiser(Network):
    """D(x; level) = E[x_0 | x_0 + level n = x] from a network trained under a Gaussian kernel.

    forward takes the level in the place of t. Levels outside the network's own range [low, high]
    need no training: above, D(x; s) = D(x high / s; high) is the mean of the data, and the field
    (x - D)/t known, up to O(sigma_data^2 / high^2) of x / t; below, D(x; low).

    Args:
        network: a denoiser, or a field from which the kernel recovers one.
        kernel: that it was trained under: gaussian, ve, vp, interpolant or flow.

    Raises:
        ZooError: the kernel's noise is not Gaussian.
    """

    predicts: Literal["denoised", "field"] = "denoised"

    def __init__(self, network: Network, kernel: FieldKernel) -> None:
        super().__init__()
        check_gaussian(kernel, NEED)
        self.network, self.source, self.labels = network, kernel, network.labels
        self.tile, self.sigma_data = network.tile, network.sigma_data
        ends = torch.tensor([kernel.t_min, kernel.t_max], dtype=torch.float64)
        self.low, self.high = kernel.level(ends).tolist()

    def at(self, x: Tensor, alpha: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | alpha x_0 + sigma n = x], shape of x; alpha >= 0 and sigma () or (B,)."""
        level = (sigma / alpha).clamp(self.low, self.high)
        time = self.source.time_at(level)
        shown = self.source.marginal(time)[1].to(sigma)
        # In terms of sigma, not of alpha: alpha is 0 where flow matching begins.
        seen = over(shown / torch.maximum(sigma, self.low * alpha), x) * x
        out: Tensor = self.network(seen, time.to(x), labels)
        return self.source.denoised(out, seen, time) if self.network.predicts == "field" else out

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return D(x_t; t), shape of x_t (B, *); t is the level, scalar or (B,)."""
        level = t.double()
        return self.at(x_t, torch.ones_like(level), level, labels)

"""A Gaussian denoiser as the network of another kernel: a function of (x, t) alone."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, IsotropicKernel, Network, over
from zoo.models.exact.gaussians import check_gaussian
from zoo.models.lift.denoiser import NEED, GaussianDenoiser
from zoo.networks.precondition import haar_level, norm_level


class LiftedNetwork(Network):
    """A Gaussian denoiser under another kernel; the level of a sample is read off x.

    Where the kernel's level is a function of t (gaussian, vp, flow) that is exact. For the others
    it is estimated as `zoo.networks.precondition` does, which makes dx/dt a function of (x, t)
    alone: for `field`, `encode`, `decode` and likelihoods. Sampling knows better: see LiftedModel.

    Args:
        denoiser: the Gaussian denoiser.
        kernel: the kernel to run.
        shape: of one sample.

    Raises:
        ZooError: the kernel is neither isotropic nor Gaussian, or of another dimension.
    """

    def __init__(
        self, denoiser: GaussianDenoiser, kernel: FieldKernel, shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        if kernel.dim != denoiser.source.dim:
            raise ZooError(
                f"the kernel has dim {kernel.dim}, the network's own {denoiser.source.dim}"
            )
        if not isinstance(kernel, IsotropicKernel):
            check_gaussian(kernel, NEED)
        self.denoiser, self.kernel, self.labels = denoiser, kernel, denoiser.labels
        self.tile = denoiser.tile
        # The kernel whose field is not affine in x_0: Gaussian ones are.
        self._radial = kernel if isinstance(kernel, IsotropicKernel) and not kernel.affine else None
        self.predicts: Literal["denoised", "field"] = (
            "denoised" if self._radial is None else "field"
        )
        self.sigma_data: float = denoiser.network.sigma_data or 0.5
        self._grid = len(shape) == 3 and min(shape[1:]) >= 2

    def levels(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return (alpha, sigma) of each sample, () or (B,), float64."""
        alpha, sigma = (c.to(x.device, torch.float64) for c in self.kernel.marginal(t.double()))
        if self.kernel.random_level:
            seen = haar_level(x) if self._grid else norm_level(x, self.sigma_data)
            sigma = torch.maximum(seen.double(), self.kernel.least_level(t.double()).to(x.device))
        return alpha, sigma

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x_t], or the field where the kernel is not affine; shape (B, *)."""
        alpha, sigma = self.levels(x_t, t)
        d = self.denoiser.at(x_t, alpha, sigma, labels)
        if self._radial is None:
            return d
        return over(level_rate(self._radial, sigma, t), x_t) * (x_t - d)


def level_rate(kernel: IsotropicKernel, level: Tensor, t: Tensor) -> Tensor:
    """Return (d sigma/dt) / sigma of samples of level sigma at t, (B,): that of their radius."""
    r = level.double() * math.sqrt(kernel.dim)
    return kernel.radial_velocity(r, t.to(r)) / r

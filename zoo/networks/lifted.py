"""A network trained under one kernel: for any level, and any other kernel."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import (
    SIGMA_DATA,
    Decoder,
    FieldKernel,
    IsotropicKernel,
    Network,
    as_read,
    over,
)
from zoo.networks.levels import LevelTable

NEED = "a lift goes from a Gaussian kernel to an isotropic or Gaussian one"


def check_gaussian(kernel: FieldKernel, need: str) -> None:
    """Raise ZooError, saying the need, unless the kernel's law is N(alpha x_0, sigma^2 I)."""
    if not (kernel.gaussian and kernel.affine):
        raise ZooError(f"{type(kernel).__name__} has no Gaussian noise of one level: {need}")


class LevelDenoiser(Network):
    """D(x; level) = E[x_0 | x_0 + level n = x] from a network trained under one kernel.

    forward takes the level in the place of t (`by_level`). Levels outside the network's own range
    [low, high] need no training: above, D(x; s) = D(x high / s; high) is the mean of the data, and
    the field (x - D)/t known, up to O(sigma_data^2 / high^2) of x / t; below, D(x; low).

    Exact for Gaussian kernels. Of other isotropic ones n is their own noise at the time whose
    typical level it is; where the velocity is not affine in x_0, D = x - f / (sigma'/sigma).

    Args:
        network: a denoiser, or a field from which the kernel recovers one.
        kernel: that it was trained under.

    Raises:
        ZooError: the kernel is neither isotropic nor Gaussian.
    """

    predicts: Literal["denoised", "field"] = "denoised"
    by_level = True

    def __init__(self, network: Network, kernel: FieldKernel) -> None:
        super().__init__()
        if not isinstance(kernel, IsotropicKernel):
            check_gaussian(kernel, NEED)
        self.network, self.source, self.labels = network, kernel, network.labels
        self.condition = network.condition
        self.tile, self.sigma_data = network.tile, network.sigma_data
        ends = torch.tensor([kernel.t_min, kernel.t_max], dtype=torch.float64)
        self.low, self.high = kernel.level(ends).tolist()

    @property
    def sources(self) -> Tensor | None:
        """The data of an exact field."""
        return self.network.sources

    @property
    def latent_decoder(self) -> Decoder | None:
        """That of the network."""
        return self.network.latent_decoder

    def at(
        self,
        x: Tensor,
        alpha: Tensor,
        sigma: Tensor,
        *given: Tensor | None,
        **weights: Tensor,
    ) -> Tensor:
        """Return E[x_0 | alpha x_0 + sigma n = x], shape of x; alpha >= 0 and sigma () or (B,).

        What is `given` are labels and condition, as the network takes them; `weights` those of an
        exact field.
        """
        level = (sigma / alpha).clamp(self.low, self.high)
        time = self.source.time_at(level)
        shown = self.source.marginal(time)[1].to(sigma)
        # In terms of sigma, not of alpha: alpha is 0 where flow matching begins.
        seen = over(shown / torch.maximum(sigma, self.low * alpha), x) * x
        out: Tensor = self.network(seen, time.to(x), *given, **weights)
        if self.network.predicts == "denoised":
            return out
        if isinstance(self.source, IsotropicKernel) and not self.source.affine:
            return seen - out / over(level_rate(self.source, level, time), x)
        return self.source.denoised(out, seen, time)

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        labels: Tensor | None = None,
        condition: Tensor | None = None,
        **weights: Tensor,
    ) -> Tensor:
        """Return D(x_t; t), shape of x_t (B, *); t is the level, scalar or (B,)."""
        level = t.double()
        more = () if condition is None else (condition,)
        return self.at(x_t, torch.ones_like(level), level, labels, *more, **weights)


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
        self, denoiser: LevelDenoiser, kernel: FieldKernel, shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        if kernel.dim != denoiser.source.dim:
            raise ZooError(
                f"the kernel has dim {kernel.dim}, the network's own {denoiser.source.dim}"
            )
        if not isinstance(kernel, IsotropicKernel):
            check_gaussian(kernel, NEED)
        self.denoiser, self.kernel, self.labels = denoiser, kernel, denoiser.labels
        self.condition, self.tile, self.high = denoiser.condition, denoiser.tile, denoiser.high
        # The kernel whose field is not affine in x_0: Gaussian ones are.
        self._radial = kernel if isinstance(kernel, IsotropicKernel) and not kernel.affine else None
        self.predicts: Literal["denoised", "field"] = (
            "denoised" if self._radial is None else "field"
        )
        self.sigma_data: float = denoiser.network.sigma_data or SIGMA_DATA
        self.table: LevelTable | None = None
        if kernel.random_level and isinstance(kernel, IsotropicKernel):
            self.table = LevelTable(kernel, shape, self.sigma_data)

    def levels(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return (alpha, sigma) of each sample, () or (B,), float64."""
        alpha, sigma = (c.to(x.device, torch.float64) for c in self.kernel.marginal(t.double()))
        if self.table is not None and self.table.of_images:
            sigma = as_read(self.table.shown(self.table.reading(x), t.double()).double())
        elif self.table is not None:
            times = t.to(x.device).expand(len(x))
            sigma = self.table(self.table.reading(x), times)[:, 0].double().exp()
        return alpha, sigma

    @property
    def sources(self) -> Tensor | None:
        """The data of an exact field."""
        return self.denoiser.sources

    @property
    def latent_decoder(self) -> Decoder | None:
        """That of the network."""
        return self.denoiser.latent_decoder

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        labels: Tensor | None = None,
        condition: Tensor | None = None,
        **weights: Tensor,
    ) -> Tensor:
        """Return E[x_0 | x_t], or the field where the kernel is not affine; shape (B, *)."""
        alpha, sigma = self.levels(x_t, t)
        more = () if condition is None else (condition,)
        d = self.denoiser.at(x_t, alpha, sigma, labels, *more, **weights)
        if self._radial is None:
            return d
        return over(level_rate(self._radial, sigma, t), x_t) * (x_t - d)


def level_rate(kernel: IsotropicKernel, level: Tensor, t: Tensor) -> Tensor:
    """Return (d sigma/dt) / sigma of samples of level sigma at t, (B,): that of their radius."""
    r = level.double() * math.sqrt(kernel.dim)
    return kernel.radial_velocity(r, t.to(r)) / r

"""What a sum over many sources needs of a kernel: all (sample, source) pairs of one chunk.

Kernels speak of paired rows. For isotropic kernels and Gaussian paths everything depends on
distances alone, and all distances of a chunk come from one matrix product,

    |x - y|^2 = |x|^2 - 2 x.y + |y|^2

which cancels where x is close to y: the sources are centred first, and r is then right to the
square root of the data's precision, 1e-8 of the data's size in float64.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, GaussianPathKernel, IsotropicKernel


class Chunk(NamedTuple):
    """Some of the sources.

    Attributes:
        centred: flat and less the mean of all sources, (c, d).
        squares: square norms of `centred`, (c,).
    """

    centred: Tensor
    squares: Tensor


class Pairs(ABC):
    """A batch of states (B, *shape) at times t, scalar or (B,), with c sources."""

    @abstractmethod
    def log_density(self) -> Tensor:
        """Return log G_1(x, y, t) of every pair, (B, c)."""

    @abstractmethod
    def velocity_sum(self, weights: Tensor) -> Tensor:
        """Return sum_i weights_i v(x, y_i, t), shape of x; weights are (B, c)."""


class IsotropicPairs(Pairs):
    """log phi_t(r) and v = (dr/dt) (x - y) / r."""

    def __init__(
        self, kernel: IsotropicKernel, x: Tensor, t: Tensor, centre: Tensor, chunk: Chunk
    ) -> None:
        self.kernel, self.shape, self.chunk = kernel, x.shape, chunk
        self.t = t if t.ndim == 0 else t[:, None]
        self.x = x.flatten(1) - centre
        products = torch.addmm(chunk.squares, self.x, chunk.centred.T, alpha=-2)
        own = self.x.square().sum(dim=1, keepdim=True)
        # Never 0: tanh and exp densities are infinite there, and a weight has to stay finite.
        floor = torch.finfo(x.dtype).tiny
        if products.requires_grad:
            self.r = (products + own).clamp(min=floor).sqrt()
        else:
            self.r = products.add_(own).clamp_(min=floor).sqrt_()

    def log_density(self) -> Tensor:
        """Return log phi_t(r), (B, c)."""
        return self.kernel.log_phi(self.r, self.t)

    def velocity_sum(self, weights: Tensor) -> Tensor:
        """Return (sum_i a_i) x - sum_i a_i y_i with a = w (dr/dt) / r."""
        a = weights * self.kernel.radial_velocity(self.r, self.t) / self.r
        total = a.sum(dim=1, keepdim=True) * self.x - a @ self.chunk.centred
        return total.reshape(self.shape)


class GaussianPairs(Pairs):
    """log N(x; alpha y, sigma^2 I), and v affine in y."""

    def __init__(
        self, kernel: GaussianPathKernel, x: Tensor, t: Tensor, centre: Tensor, chunk: Chunk
    ) -> None:
        self.kernel, self.raw, self.t, self.chunk, self.centre = kernel, x, t, chunk, centre
        alpha, sigma = (c.to(x).reshape(-1, 1) for c in kernel.coefficients(t.double())[:2])
        self.sigma = sigma
        own = x.flatten(1) - alpha * centre
        products = alpha.square() * chunk.squares - (2 * alpha * own) @ chunk.centred.T
        self.squares = products + own.square().sum(dim=1, keepdim=True)

    def log_density(self) -> Tensor:
        """Return -d/2 log(2 pi sigma^2) - |x - alpha y|^2 / (2 sigma^2), (B, c)."""
        norm = self.kernel.dim * (0.5 * math.log(2 * math.pi) + self.sigma.log())
        return -norm - self.squares.clamp(min=0) / (2 * self.sigma.square())

    def velocity_sum(self, weights: Tensor) -> Tensor:
        """Return W v(x, sum_i w_i y_i / W, t), W = sum_i w_i."""
        total = weights.sum(dim=1, keepdim=True)
        mean = self.centre + weights @ self.chunk.centred / total
        velocity = self.kernel.velocity(self.raw, mean.reshape(self.raw.shape), self.t)
        return (total * velocity.flatten(1)).reshape(self.raw.shape)


class RowPairs(Pairs):
    """Any kernel, pair by pair: B c rows of d coordinates."""

    def __init__(
        self, kernel: FieldKernel, x: Tensor, t: Tensor, centre: Tensor, chunk: Chunk
    ) -> None:
        self.kernel, self.batch, self.sources = kernel, len(x), len(chunk.centred)
        self.x = x.repeat_interleave(self.sources, dim=0)
        self.y = (chunk.centred + centre).repeat(self.batch, 1).reshape(self.x.shape)
        self.t = t if t.ndim == 0 else t.repeat_interleave(self.sources)

    def log_density(self) -> Tensor:
        """Return the kernel's log density of every pair, (B, c)."""
        flat = self.kernel.log_density(self.x, self.y, self.t)
        return flat.reshape(self.batch, self.sources)

    def velocity_sum(self, weights: Tensor) -> Tensor:
        """Return the weighted sum of the kernel's velocities."""
        velocity = self.kernel.velocity(self.x, self.y, self.t)
        by_source = velocity.reshape(self.batch, self.sources, *self.x.shape[1:])
        return torch.einsum("bc,bc...->b...", weights, by_source)


def pair_up(kernel: FieldKernel, x: Tensor, t: Tensor, centre: Tensor, chunk: Chunk) -> Pairs:
    """Return the pairs of states x (B, *shape) with a chunk, by distances if the kernel allows it.

    x has the sources' dtype, t is a scalar or (B,), and `centre` (d,) the mean of all sources.
    """
    if isinstance(kernel, IsotropicKernel):
        return IsotropicPairs(kernel, x, t, centre, chunk)
    if isinstance(kernel, GaussianPathKernel) and kernel.gaussian:
        return GaussianPairs(kernel, x, t, centre, chunk)
    return RowPairs(kernel, x, t, centre, chunk)


def elements_per_source(kernel: FieldKernel) -> int:
    """Return how many numbers one pair of `pair_up` takes."""
    path = isinstance(kernel, GaussianPathKernel) and kernel.gaussian
    return 1 if path or isinstance(kernel, IsotropicKernel) else kernel.dim

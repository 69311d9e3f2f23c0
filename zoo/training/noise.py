"""At which noise levels to train: EDM's distribution, carried to every kernel by radius matching.

EDM draws ln sigma ~ N(-1.2, 1.2^2) (arXiv:2206.00364, table 1). A kernel whose sample level is
a function of t gets the t of that level. Where the level is random given t (gravity) and the
dimension is high, the level is drawn first and t follows from the draw z, x_t = x_0 + t z:
t = level sqrt(d) / |z|. This is the distribution of log-uniform t, reweighted by a function of
the level. x_t determines the level to a relative 1 / sqrt(2 d), so the regression keeps its
minimiser, and every kernel trains on the same levels instead of the heavy tails of t times a
heavy-tailed s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, SelfSimilarKernel, over

# Below this dimension x_t does not determine its own noise level well enough.
_LEVEL_IS_VISIBLE = 48


class NoiseDistribution(Protocol):
    """The distribution of (x_t, t) given x_0; a kernel may bring its own as `noise_law`."""

    def draw(
        self, kernel: FieldKernel, x_0: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return (x_t, t), shapes (B, *) and (B,)."""


@dataclass(frozen=True)
class LogNormalLevels:
    """ln level ~ N(mean, std^2), in data units."""

    mean: float = -1.2
    std: float = 1.2

    def draw(
        self, kernel: FieldKernel, x_0: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return (x_t, t), shapes (B, *) and (B,): noise of a random level on x_0."""
        normal = torch.randn(len(x_0), generator=generator, device=x_0.device)
        level = (self.mean + self.std * normal.double()).exp()
        visible = kernel.random_level and kernel.dim >= _LEVEL_IS_VISIBLE
        if not (visible and isinstance(kernel, SelfSimilarKernel)):
            t = kernel.time_at(level).to(x_0)
            return kernel.sample(x_0, t, generator), t
        z = kernel.unit_sample(x_0, generator)
        spread = z.flatten(1).double().norm(dim=1) / math.sqrt(kernel.dim)
        t = (level / spread).clamp(kernel.t_min, kernel.t_max).to(x_0)
        return x_0 + over(t, x_0) * z, t


def noise_distribution(kernel: FieldKernel, mean: float, std: float) -> NoiseDistribution:
    """Return the kernel's own distribution where it brings one, else LogNormalLevels."""
    own: NoiseDistribution | None = getattr(kernel, "noise_law", None)
    return LogNormalLevels(mean, std) if own is None else own

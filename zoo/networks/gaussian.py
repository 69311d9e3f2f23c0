"""What denoisers that were trained elsewhere, under Gaussian noise, have in common."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Network, over


class GaussianDenoiser(Network):
    """E[x_0 | x_t] under any kernel, from a network that knows noise levels in [low, high].

    Above `high`, D(y; sigma) is D(y high / sigma; high), the mean of the data up to
    O(sigma_data^2 / high^2); below `low`, D(y; low).
    """

    low: float
    high: float

    def __init__(self, kernel: FieldKernel) -> None:
        super().__init__()
        self.kernel = kernel

    def _seen(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return y = x_0 + level n and the level within the range, (B, *) and (B,)."""
        ratio, level = self._scaled(x_t, t)
        return over(ratio, x_t) * x_t, level

    def _scaled(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ratio y / x_t, and the level within the range, both (B,), float64."""
        alpha, sigma = (c.to(x_t.device) for c in self.kernel.marginal(t.double()))
        level = (sigma / alpha).clamp(self.low, self.high).expand(len(x_t))
        # In terms of sigma, not of alpha: alpha is 0 where flow matching begins.
        return level / torch.maximum(sigma, self.low * alpha), level


def refuse_random_level(kernel: FieldKernel, whose: str) -> None:
    """Refuse a kernel of random levels; `whose` networks have to know the level.

    Raises:
        ZooError: its levels are random.
    """
    if kernel.random_level:
        raise ZooError(
            f"{type(kernel).__name__} has random noise levels, {whose} know Gaussian noise: load "
            "the model with kernel=..., which lifts it"
        )

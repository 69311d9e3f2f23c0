"""Flow matching, also rectified flow: x_t = (1 - t) x_0 + t z, z ~ N(0, I), t from 0 to 1.

A conditional trajectory is the straight line from x_0 to z, and its velocity z - x_0 is the same
(x_t - x_0) / t as that of the self-similar kernels.
Source: arXiv:2210.02747, section 4.1; arXiv:2209.03003; kexue.fm/archives/9370, "summary".
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import LEVEL_RANGE, GaussianPathKernel, PathCoefficients, over

# t / (1 - t) is EDM's sigma_min here.
FIRST_TIME = LEVEL_RANGE[0] / (1 + LEVEL_RANGE[0])


class FlowKernel(GaussianPathKernel):
    """p_t(x_t | x_0) = N((1 - t) x_0, t^2 I).

    Args:
        dim: number of coordinates d.
        t_min: first time; by default the one with t / (1 - t) = 0.002.
        t_max: time of the prior, at most 1; at 1 the prior is N(0, I) whatever the data.
    """

    affine_path = True

    def __init__(self, *, dim: int, t_min: float = FIRST_TIME, t_max: float = 1.0) -> None:
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)

    def coefficients(self, t: Tensor) -> PathCoefficients:
        """Return (1 - t, t, -1, 1)."""
        one = torch.ones_like(t)
        return PathCoefficients(1 - t, t, -one, one)

    def _velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        return (x_t - x_0) / over(t, x_t)

    def denoised(self, field: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t] = x_t - t f."""
        return x_t - over(t, x_t) * field

    def time_at(self, level: Tensor | float) -> Tensor:
        """Return t = level / (1 + level), clamped to [t_min, t_max], float64."""
        level = torch.as_tensor(level, dtype=torch.float64)
        return (1 / (1 + 1 / level)).clamp(self.t_min, self.t_max)

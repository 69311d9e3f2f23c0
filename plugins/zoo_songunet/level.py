"""What the networks of score SDE and of PFGM share: a range of levels, one number told."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, Network, over
from zoo_songunet.network import SongUNet


class LevelNetwork(Network):
    """E[x_0 | x_t] from a backbone that knows noise levels in [low, high].

    Above `high`, D(y; sigma) is D(y high / sigma; high), the mean of the data up to
    O(sigma_data^2 / high^2); below `low`, D(y; low).
    """

    low: float
    high: float

    def __init__(self, backbone: SongUNet, kernel: FieldKernel) -> None:
        super().__init__()
        self.backbone, self.kernel = backbone, kernel

    def _seen(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return y = x_0 + level n and the level within the range, (B, *) and (B,)."""
        alpha, sigma = (c.to(x_t.device) for c in self.kernel.marginal(t.double()))
        level = (sigma / alpha).clamp(self.low, self.high).expand(len(x_t))
        return over(level / torch.maximum(sigma, self.low * alpha), x_t) * x_t, level

    def _say(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return the backbone's output, told `condition`: it divides its first feature by 4."""
        out: Tensor = self.backbone(x, 4 * condition.to(x)[:, None])
        return out

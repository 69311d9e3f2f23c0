"""DDPM++ and NCSN++ as score SDE trained them: what they are told, and what they say.

    VP: epsilon, at 999 t with (1 + sigma^2) = exp(b_0 t + (b_1 - b_0) t^2 / 2), b = 0.1, 20
    VE: sigma times the score, at log sigma, of images in [0, 1]

Source: score SDE, arXiv:2011.13456, appendix C and G.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, Network, over
from zoo.networks import GaussianDenoiser, refuse_random_level
from zoo_songunet.network import DDPMPP, NCSNPP, Design, SongUNet

_BETA_MIN, _BETA_MAX, _LAST_STEP = 0.1, 20.0, 999.0


class LevelNetwork(GaussianDenoiser):
    """A backbone that is given one number for the level."""

    def __init__(self, backbone: SongUNet, kernel: FieldKernel) -> None:
        super().__init__(kernel)
        self.backbone = backbone

    def _say(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return the backbone's output, told `condition`: it divides its first feature by 4."""
        out: Tensor = self.backbone(x, 4 * condition.to(x)[:, None])
        return out


class VPScore(LevelNetwork):
    """D = y - sigma epsilon(y / sqrt(1 + sigma^2), 999 t): the VP SDE from t = 1e-5 to 1."""

    low, high = 1e-3, 152.0

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x_t], shape (B, C, H, W); t is a scalar or (B,), labels are not used."""
        del labels
        y, level = self._seen(x_t, t)
        decay, rise = torch.log1p(level.square()), _BETA_MAX - _BETA_MIN
        time = ((_BETA_MIN**2 + 2 * rise * decay).sqrt() - _BETA_MIN) / rise
        scale = over((1 + level.square()).rsqrt(), x_t)
        return y - over(level, x_t) * self._say(scale * y, _LAST_STEP * time)


class VEScore(LevelNetwork):
    """D = y + sigma F(y, log(sigma / 2)): the VE SDE, half of sigma being that of [0, 1]."""

    low, high = 0.02, 100.0

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x_t], shape (B, C, H, W); t is a scalar or (B,), labels are not used."""
        del labels
        y, level = self._seen(x_t, t)
        return y + over(level, x_t) * self._say(y, (level / 2).log())


@dataclass(frozen=True)
class ScoreSDE:
    """Builds one of the networks: arguments and errors as for `ddpmpp`, defaults as for CIFAR-10.

    Attributes:
        design: of the backbone.
        network: what it is told, and what it says.
    """

    design: Design
    network: type[LevelNetwork]

    def __call__(
        self,
        shape: tuple[int, ...],
        kernel: FieldKernel,
        *,
        width: int = 128,
        multipliers: Sequence[int] = (1, 2, 2, 2),
        blocks: int = 4,
        attention: Sequence[int] = (16,),
        dropout: float = 0.1,
    ) -> Network:
        """Return the network; raises ZooError for a kernel of random levels."""
        refuse_random_level(kernel, "score SDE's networks")
        sizes = width, multipliers, blocks, attention, dropout
        return self.network(SongUNet(shape, self.design, *sizes), kernel)


vp = ScoreSDE(DDPMPP, VPScore)  # also of DDPM
ve = ScoreSDE(NCSNPP, VEScore)

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

from zoo import ZooError
from zoo.interfaces import FieldKernel, Network, over
from zoo_songunet.network import DDPMPP, NCSNPP, Design, SongUNet

_BETA_MIN, _BETA_MAX, _LAST_STEP = 0.1, 20.0, 999.0


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


class ScoreNetwork(LevelNetwork):
    """One that is told the level, which therefore has to be a function of t."""

    def __init__(self, backbone: SongUNet, kernel: FieldKernel) -> None:
        if kernel.random_level:
            raise ZooError(
                f"{type(kernel).__name__} has random noise levels, score SDE's networks know "
                "Gaussian noise: load the model with kernel=..., which lifts it"
            )
        super().__init__(backbone, kernel)


class VPScore(ScoreNetwork):
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


class VEScore(ScoreNetwork):
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
    network: type[ScoreNetwork]

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
        sizes = width, multipliers, blocks, attention, dropout
        return self.network(SongUNet(shape, self.design, *sizes), kernel)


vp = ScoreSDE(DDPMPP, VPScore)  # also of DDPM
ve = ScoreSDE(NCSNPP, VEScore)

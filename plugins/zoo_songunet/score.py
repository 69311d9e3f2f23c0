"""DDPM++ and NCSN++ as score SDE and PFGM trained them: their inputs and outputs.

    VP: epsilon, at 999 t with (1 + sigma^2) = exp(b_0 t + (b_1 - b_0) t^2 / 2), b = 0.1, 20
    VE: sigma times the score, at log sigma, of images in [0, 1]

PFGM's network is given t and returns the Poisson field of x and t, normalised. With D =
E[x_0 | x_t = x] under gravity, R = |(x - D, t)| and d coordinates,

    (F_x, F_t) = -sqrt(d) (x - D, t) / (R + gamma),   gamma = 5

F_x in as many channels as x has, F_t as the mean of one more. So D = x + F_x (R + gamma) / sqrt(d),
where R follows from either part:

    R + gamma = -sqrt(d) t / F_t
    R^2 = r^2 + t^2,   r (1 - q^2) = q (gamma + sqrt(q^2 gamma^2 + (1 - q^2) t^2)),

r = |x - D|, q = |F_x| / sqrt(d). At small t, where F_t is too small to be exact, PFGM samples by
the second with t = 0 in it: r = gamma q / (1 - q).

Sources: score SDE, arXiv:2011.13456, appendix C and G; PFGM, arXiv:2209.11178, appendix B.2.3; the
layout of Newbeeer/Poisson_flow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import scipy.special
import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, Network, check_positive, over
from zoo.networks import GaussianDenoiser, refuse_random_level
from zoo_songunet.network import DDPMPP, NCSNPP, SongUNet
from zoo_songunet.tree import Design

_BETA_MIN, _BETA_MAX, _LAST_STEP = 0.1, 20.0, 999.0


class LevelNetwork(GaussianDenoiser):
    """A backbone that is given one number for the level."""

    def __init__(self, backbone: SongUNet, kernel: FieldKernel) -> None:
        super().__init__(kernel)
        self.backbone = backbone

    def _say(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return the backbone's output, given `condition`: it divides its first feature by 4."""
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
        network: its input and its output.
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


class PoissonField(LevelNetwork):
    """E[x_0 | x_t] from the normalised field; R is kept to what data in [-1, 1] allow.

    Args:
        backbone: SongUNet with one channel more in its result.
        kernel: gravity; under another one the network is given the t at which gravity's typical
            noise level is the same.
        inferred_below: times below which R is taken from |F_x|.
        gamma: of the normalisation.
    """

    low, high = 1e-3, 65.0

    def __init__(
        self, backbone: SongUNet, kernel: FieldKernel, inferred_below: float, gamma: float
    ) -> None:
        super().__init__(backbone, kernel)
        self.inferred_below = check_positive("inferred_below", inferred_below)
        self.gamma = check_positive("gamma", gamma)
        self.root = math.sqrt(kernel.dim)
        # The median of rho^2 / (1 + rho^2) ~ Beta(d/2, 1/2): gravity's typical level over its t.
        outer = float(scipy.special.betainccinv(0.5, kernel.dim / 2, 0.5))
        self.per_level = self.root / math.sqrt((1 - outer) / outer)

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x_t], shape (B, C, H, W); t is a scalar or (B,), labels are not used."""
        del labels
        x, level = self._seen(x_t, t)
        t = (level * self.per_level).to(x)
        said = self._say(x, t)
        across, along = said[:, :-1], said[:, -1].flatten(1).mean(dim=1)
        q = across.flatten(1).norm(dim=1) / self.root
        rest = (1 - q.square()).clamp(min=1e-6)
        r = q * (self.gamma + (rest * t.square() + (self.gamma * q).square()).sqrt()) / rest
        inferred = torch.hypot(r, t)
        given = self.root * t / (-along).clamp(min=1e-6) - self.gamma
        farthest = torch.hypot(x.flatten(1).norm(dim=1) + self.root, t)
        distance = torch.where(t < self.inferred_below, inferred, given)
        distance = torch.minimum(torch.maximum(distance, t), farthest)
        return x + over((distance + self.gamma) / self.root, x) * across


def pfgm(
    shape: tuple[int, ...],
    kernel: FieldKernel,
    *,
    width: int = 128,
    multipliers: Sequence[int] = (1, 2, 2, 2),
    blocks: int = 4,
    attention: Sequence[int] = (16,),
    dropout: float = 0.1,
    inferred_below: float = 5.0,
    gamma: float = 5.0,
) -> Network:
    """Build DDPM++ of PFGM, `inferred_below` and `gamma` as for CIFAR-10; the rest as `ddpmpp`."""
    sizes = width, multipliers, blocks, attention, dropout
    backbone = SongUNet(shape, DDPMPP, *sizes, more=1)
    return PoissonField(backbone, kernel, inferred_below, gamma)


vp = ScoreSDE(DDPMPP, VPScore)  # also of DDPM
ve = ScoreSDE(NCSNPP, VEScore)

"""SongUNet: the DDPM++ and NCSN++ networks of EDM and PFGM++.

Names and shapes of the state are those of the reference, so that its weights load strictly; the
code is written from a description in words. Source of the architectures: score SDE,
arXiv:2011.13456; of this arrangement: EDM, arXiv:2206.00364, appendix F.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from zoo_songunet.embedding import Fourier, Positional
from zoo_songunet.layers import conv, group_norm, linear
from zoo_songunet.tree import Design, UNet

DDPMPP = Design(Positional, (1, 1), pyramid=False)
NCSNPP = Design(Fourier, (1, 3, 3, 1), pyramid=True)


class SongUNet(UNet):
    """The backbone F(x, features, labels); the first feature is the log of the noise level.

    The embedding e is of ln(sigma) / 4 and four times as wide as the finest resolution. `design` is
    DDPMPP or NCSNPP, `more` the channels of the result beyond those of the image; other arguments
    and errors are those of `zoo_songunet.component.EDM`.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        design: Design,
        width: int,
        multipliers: Sequence[int],
        blocks: int,
        attention: Sequence[int],
        dropout: float,
        *,
        labels: int = 0,
        augment: int = 0,
        more: int = 0,
    ) -> None:
        sizes = width, multipliers, blocks, attention, dropout
        super().__init__(shape, design, *sizes, labels, augment)
        noise, embedding = design.noise(width), 4 * width
        self.map_noise = noise
        self.map_augment = linear(augment, noise.width, bias=False) if augment else None
        self.map_label = linear(labels, noise.width) if labels else None
        self.map_layer0 = linear(noise.width, embedding)
        self.map_layer1 = linear(embedding, embedding)
        last, name = self.build(width), self.stages[0].name
        self.dec[f"{name}_aux_norm"] = group_norm(last)
        self.dec[f"{name}_aux_conv"] = conv(last, shape[0] + more, 3, gain=1e-5)

    def embed(
        self, features: Tensor, labels: Tensor | None, augment: Tensor | None = None
    ) -> Tensor:
        """Return e, shape (B, 4 width); label -1 or None means "no class"."""
        e = self.map_noise(features[:, 0] / 4)
        if self.map_augment is not None and augment is not None:
            e = e + self.map_augment(augment)
        if self.map_label is not None:
            e = e + self.map_label(self.one_hot(labels, e) * math.sqrt(self.labels))
        return F.silu(self.map_layer1(F.silu(self.map_layer0(e))))

    def forward(
        self,
        x: Tensor,
        features: Tensor,
        labels: Tensor | None = None,
        augment: Tensor | None = None,
    ) -> Tensor:
        """Return (B, C + more, H, W) from a scaled image and its features (B, F)."""
        return self.through(x, self.embed(features, labels, augment))

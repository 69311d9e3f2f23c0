"""DhariwalUNet: the ADM networks of EDM.

Names and shapes of the state are those of the reference, so that its weights load strictly; the
code is written from a description in words. Source of the architecture: ADM,
arXiv:2105.05233, section 3; of this arrangement: EDM, arXiv:2206.00364, appendix F.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from zoo_songunet.embedding import Timestep
from zoo_songunet.layers import Style, conv, group_norm, linear
from zoo_songunet.tree import Design, UNet

_ADM_BLOCKS = Style(gain=1.0, eps=1e-5, scales=True, projects=False, head=64)
_ADM = Design(Timestep, (1, 1), pyramid=False, style=_ADM_BLOCKS, everywhere=True)


class DhariwalUNet(UNet):
    """ADM's backbone F(x, features, labels); the first feature is the log of the noise level.

    The embedding e is of ln(sigma) / 4, four times as wide as `width`, and scales and shifts within
    the blocks; heads of attention have 64 channels. Arguments and errors are those of
    `zoo_songunet.component.adm`.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int,
        multipliers: Sequence[int],
        blocks: int,
        attention: Sequence[int],
        dropout: float,
        *,
        labels: int = 0,
        augment: int = 0,
    ) -> None:
        sizes = width, multipliers, blocks, attention, dropout
        super().__init__(shape, _ADM, *sizes, labels, augment)
        embedding, eps = 4 * width, _ADM_BLOCKS.eps
        self.map_noise = Timestep(width)
        self.map_augment = linear(augment, width, bias=False) if augment else None
        self.map_layer0 = linear(width, embedding)
        self.map_layer1 = linear(embedding, embedding)
        self.map_label = linear(labels, embedding, bias=False) if labels else None
        last = self.build(self.stages[0].channels)
        self.out_norm = group_norm(last, eps)
        self.out_conv = conv(last, shape[0], 3)
        self._initialise()

    def _initialise(self) -> None:
        """Draw the weights as ADM's are: those of layers that end a residual are 0."""
        for name, layer in self.named_modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.reset_parameters()
                if name.rpartition(".")[2] in {"conv1", "proj", "out_conv", "map_augment"}:
                    for parameter in layer.parameters():
                        nn.init.zeros_(parameter)
        if self.map_label is not None:
            nn.init.normal_(self.map_label.weight)

    def embed(
        self, features: Tensor, labels: Tensor | None, augment: Tensor | None = None
    ) -> Tensor:
        """Return e, shape (B, 4 width); label -1 or None means "no class"."""
        e = self.map_noise(features[:, 0] / 4)
        if self.map_augment is not None and augment is not None:
            e = e + self.map_augment(augment)
        e = self.map_layer1(F.silu(self.map_layer0(e)))
        if self.map_label is not None:
            e = e + self.map_label(self.one_hot(labels, e))
        return F.silu(e)

    def forward(
        self,
        x: Tensor,
        features: Tensor,
        labels: Tensor | None = None,
        augment: Tensor | None = None,
    ) -> Tensor:
        """Return (B, C, H, W) from a scaled image and its features (B, F)."""
        x = self.through(x, self.embed(features, labels, augment))
        out: Tensor = self.out_conv(F.silu(self.out_norm(x)))
        return out

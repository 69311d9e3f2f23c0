"""The tree of modules that the U-Nets of EDM and PFGM++ share, and the way through it.

Names and shapes of the state are those of the reference, so that its weights load strictly; the
code is written from a description in words. Source of this arrangement: EDM,
arXiv:2206.00364, appendix F.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import ZooError
from zoo.interfaces import check_integer, check_real
from zoo_songunet.embedding import Fourier, Positional, Timestep
from zoo_songunet.layers import HALF, SONG, Block, DownConv, PyramidConv, Style, UpConv, conv


class Design(NamedTuple):
    """The differences of the backbones.

    Attributes:
        noise: the embedding of the noise level.
        taps: of the resampling filter.
        pyramid: the encoder sees the image at every resolution.
        style: of the blocks.
        everywhere: every block of the decoder attends where the encoder's do, else the last one.
    """

    noise: type[Positional] | type[Fourier] | type[Timestep]
    taps: tuple[int, ...]
    pyramid: bool
    style: Style = SONG
    everywhere: bool = False


class Stage(NamedTuple):
    """A resolution of the network: the prefix of its modules, channels, self-attention or not."""

    name: str
    channels: int
    attends: bool


class UNet(nn.Module):
    """What the backbones share: the encoder, the decoder, and the way through them."""

    def __init__(
        self,
        shape: tuple[int, ...],
        design: Design,
        width: int,
        multipliers: Sequence[int],
        blocks: int,
        attention: Sequence[int],
        dropout: float,
        labels: int,
        augment: int,
    ) -> None:
        super().__init__()
        _check_sizes(shape, width, multipliers)
        check_integer("blocks", blocks, 1, 1000)
        for side in attention:
            check_integer("attention", side, 1)
        check_real("dropout", dropout, "a probability below 1", least=0, below=1)
        check_integer("labels", labels, 0, 10**6)
        check_integer("augment", augment, 0)
        self.design, self.labels, self.blocks = design, labels, blocks
        size, self.channels = shape[1], shape[0]
        self.stages = [
            Stage(f"{size >> level}x{size >> level}", factor * width, size >> level in attention)
            for level, factor in enumerate(multipliers)
        ]
        self.block = partial(Block, embedding=4 * width, dropout=dropout, style=design.style)

    def build(self, stem: int) -> int:
        """Make `enc` and `dec` behind a convolution to `stem` channels; return their last ones."""
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        return self._decode_by(self._encode_by(stem))

    def _encode_by(self, stem: int) -> list[int]:
        """Fill `enc`; return the channels of what it keeps for the decoder, in order."""
        taps = self.design.taps
        now, image, skips = stem, self.channels, [stem]
        for level, (name, out, attends) in enumerate(self.stages):
            if level == 0:
                self.enc[f"{name}_conv"] = conv(self.channels, stem, 3)
            else:
                self.enc[f"{name}_down"] = self.block(now, now, resample=DownConv, taps=taps)
                skips.append(now)
                if self.design.pyramid:
                    self.enc[f"{name}_aux_residual"] = PyramidConv(image, now, 3, taps)
                    image = now
            for i in range(self.blocks):
                self.enc[f"{name}_block{i}"] = self.block(now, out, attention=attends)
                now = out
                skips.append(now)
        return skips

    def _decode_by(self, skips: list[int]) -> int:
        """Fill `dec`, from the coarsest stage to the finest, whose channels are returned."""
        now, taps = skips[-1], self.design.taps
        for level, (name, out, attends) in reversed([*enumerate(self.stages)]):
            if level == len(self.stages) - 1:
                self.dec[f"{name}_in0"] = self.block(now, now, attention=True)
                self.dec[f"{name}_in1"] = self.block(now, now)
            else:
                self.dec[f"{name}_up"] = self.block(now, now, resample=UpConv, taps=taps)
            for i in range(self.blocks + 1):
                into, last = now + skips.pop(), i == self.blocks
                here = attends and (self.design.everywhere or last)
                self.dec[f"{name}_block{i}"] = self.block(into, out, attention=here)
                now = out
        return now

    def one_hot(self, labels: Tensor | None, like: Tensor) -> Tensor:
        """Return (B, labels), zeros for label -1 or None, which means "no class"."""
        hot = like.new_zeros(len(like), self.labels + 1)
        if labels is not None:
            hot = F.one_hot(labels + 1, self.labels + 1).to(like)
        return hot[:, 1:]

    def through(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return what encoder and decoder make of an image and e."""
        image = x
        skips: list[Tensor] = []
        for layer in self.enc.values():
            if isinstance(layer, PyramidConv):
                image = skips[-1] = x = HALF * (x + layer(image))
                continue
            x = layer(x, embedding) if isinstance(layer, Block) else layer(x)
            skips.append(x)
        for layer in self.dec.values():
            if isinstance(layer, Block):
                if layer.into != x.shape[1]:
                    x = torch.cat([x, skips.pop()], dim=1)
                x = layer(x, embedding)
            elif isinstance(layer, nn.GroupNorm):
                x = F.silu(layer(x))
            else:
                x = layer(x)
        return x


def _check_sizes(shape: tuple[int, ...], width: int, multipliers: Sequence[int]) -> None:
    check_integer("width", width, 1)
    for factor in multipliers:
        check_integer("multipliers", factor, 1)
    if width % 4 or not multipliers:
        raise ZooError(
            f"width = {width}, multipliers = {[*multipliers]}; expected a width divisible by 4 and "
            "at least one multiplier"
        )
    step = 2 ** (len(multipliers) - 1)
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] % step:
        raise ZooError(
            f"shape = {tuple(shape)}; expected a square image (C, H, H) with H divisible by {step}"
        )

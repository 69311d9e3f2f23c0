"""SongUNet: the module tree of the DDPM++ and NCSN++ networks of EDM and PFGM++.

Names and shapes of the state are those of the reference, so that its weights load strictly; the
code is written from a description in words. Source of the architectures: score SDE,
arXiv:2011.13456; of this arrangement: EDM, arXiv:2206.00364, appendix F.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import ZooError
from zoo.interfaces import check_integer, check_real
from zoo_songunet.layers import (
    HALF,
    Block,
    DownConv,
    Fourier,
    Positional,
    PyramidConv,
    UpConv,
    conv,
    group_norm,
    linear,
)


class Design(NamedTuple):
    """The differences of two backbones: embedding, resampling filter, pyramid in the encoder."""

    noise: type[Positional] | type[Fourier]
    taps: tuple[int, ...]
    pyramid: bool


DDPMPP = Design(Positional, (1, 1), pyramid=False)
NCSNPP = Design(Fourier, (1, 3, 3, 1), pyramid=True)


class Stage(NamedTuple):
    """A resolution of the network: the prefix of its modules, channels, self-attention or not."""

    name: str
    channels: int
    attends: bool


class SongUNet(nn.Module):
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
        super().__init__()
        _check_sizes(shape, width, multipliers)
        check_integer("blocks", blocks, 1)
        for side in attention:
            check_integer("attention", side, 1)
        check_real("dropout", dropout, "a probability below 1", least=0, below=1)
        check_integer("labels", labels, 0)
        check_integer("augment", augment, 0)
        channels, size = shape[:2]
        noise, embedding = design.noise(width), 4 * width
        self.map_noise, self.labels = noise, labels
        self.map_augment = linear(augment, noise.width, bias=False) if augment else None
        self.map_label = linear(labels, noise.width) if labels else None
        self.map_layer0 = linear(noise.width, embedding)
        self.map_layer1 = linear(embedding, embedding)
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        block = partial(Block, embedding=embedding, dropout=dropout)
        stages = [
            Stage(f"{size >> level}x{size >> level}", factor * width, size >> level in attention)
            for level, factor in enumerate(multipliers)
        ]
        skips = self._encode_by(block, stages, design, channels, width, blocks)
        self._decode_by(block, stages, design.taps, channels + more, skips, blocks)

    def _encode_by(
        self,
        block: Callable[..., Block],
        stages: Sequence[Stage],
        design: Design,
        channels: int,
        width: int,
        blocks: int,
    ) -> list[int]:
        """Fill `enc`; return the channels of what it keeps for the decoder, in order."""
        now, image, skips = width, channels, [width]
        for level, (name, out, attends) in enumerate(stages):
            if level == 0:
                self.enc[f"{name}_conv"] = conv(channels, width, 3)
            else:
                self.enc[f"{name}_down"] = block(now, now, resample=DownConv, taps=design.taps)
                skips.append(now)
                if design.pyramid:
                    self.enc[f"{name}_aux_residual"] = PyramidConv(image, now, 3, design.taps)
                    image = now
            for i in range(blocks):
                self.enc[f"{name}_block{i}"] = block(now, out, attention=attends)
                now = out
                skips.append(now)
        return skips

    def _decode_by(
        self,
        block: Callable[..., Block],
        stages: Sequence[Stage],
        taps: Sequence[int],
        channels: int,
        skips: list[int],
        blocks: int,
    ) -> None:
        """Fill `dec`, from the coarsest stage to `channels` at the finest; use up `skips`."""
        now = skips[-1]
        for level, (name, out, attends) in reversed([*enumerate(stages)]):
            if level == len(stages) - 1:
                self.dec[f"{name}_in0"] = block(now, now, attention=True)
                self.dec[f"{name}_in1"] = block(now, now)
            else:
                self.dec[f"{name}_up"] = block(now, now, resample=UpConv, taps=taps)
            for i in range(blocks + 1):
                into = now + skips.pop()
                self.dec[f"{name}_block{i}"] = block(into, out, attention=attends and i == blocks)
                now = out
        self.dec[f"{stages[0].name}_aux_norm"] = group_norm(now)
        self.dec[f"{stages[0].name}_aux_conv"] = conv(now, channels, 3, gain=1e-5)

    def embed(
        self, features: Tensor, labels: Tensor | None, augment: Tensor | None = None
    ) -> Tensor:
        """Return e, shape (B, 4 width); label -1 or None means "no class"."""
        e = self.map_noise(features[:, 0] / 4)
        if self.map_augment is not None and augment is not None:
            e = e + self.map_augment(augment)
        if self.map_label is not None:
            hot = e.new_zeros(len(e), self.labels + 1)
            if labels is not None:
                hot = F.one_hot(labels + 1, self.labels + 1).to(e)
            e = e + self.map_label(hot[:, 1:] * math.sqrt(self.labels))
        return F.silu(self.map_layer1(F.silu(self.map_layer0(e))))

    def forward(
        self,
        x: Tensor,
        features: Tensor,
        labels: Tensor | None = None,
        augment: Tensor | None = None,
    ) -> Tensor:
        """Return (B, C + more, H, W) from a scaled image and its features (B, F)."""
        embedding = self.embed(features, labels, augment)
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

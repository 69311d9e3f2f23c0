"""A residual U-Net for series (C, L) of any length and number of channels.

The blocks of `unet` with convolutions along time, on times folded into channels (space-to-depth),
which buys most of the speed; and self-attention at the coarsest resolution that knows the places,
so that all times of a series know each other.
Source: sinusoidal places, arXiv:1706.03762, section 3.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import ZooError
from zoo.interfaces import FieldKernel
from zoo.networks import Preconditioned
from zoo_networks.common import (
    Conditioning,
    beside,
    check_multipliers,
    check_options,
    placed,
    zeroed,
)
from zoo_networks.unet import Attention, Block, groups_of

_SLOWEST = 1 / 128  # of the rates of places, in half turns per place


def folded(x: Tensor, patch: int) -> Tensor:
    """Return x (B, C, L) with so many times as channels each, (B, C * patch, L / patch)."""
    batch, channels, length = x.shape
    parts = x.reshape(batch, channels, length // patch, patch).transpose(2, 3)
    return parts.reshape(batch, channels * patch, length // patch)


def unfolded(x: Tensor, patch: int) -> Tensor:
    """Return what `folded` was made of."""
    batch, channels, places = x.shape
    parts = x.reshape(batch, channels // patch, patch, places).transpose(2, 3)
    return parts.reshape(batch, channels // patch, patch * places)


def places_like(x: Tensor) -> Tensor:
    """Return sines and cosines of the places l of x (B, C, L), shape (C, L): sin(pi r^(i/k) l)."""
    half = (x.shape[1] + 1) // 2
    rates = math.pi * _SLOWEST ** (torch.arange(half, device=x.device) / half)
    angles = rates[:, None] * torch.arange(x.shape[2], device=x.device)
    return torch.cat([angles.sin(), angles.cos()])[: x.shape[1]].to(x)


class UNet1d(nn.Module):
    """The backbone F(x, features, labels, condition); lengths that do not fit are padded."""

    def __init__(
        self,
        channels: int,
        inputs: int,
        numbers: int,
        *,
        width: int,
        multipliers: tuple[int, ...],
        blocks: int,
        patch: int,
        labels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        emb = 4 * width
        self.patch = patch
        # A multiple of 8 places is left for the attention: its last bits depend on the batch else.
        self.multiple = 8 * patch * 2 ** (len(multipliers) - 1)
        self.conditioning = Conditioning(emb, labels, numbers)
        self.stem = nn.Conv1d(inputs * patch, width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, now = [width], width
        for level, factor in enumerate(multipliers):
            if level:
                self.down.append(nn.Conv1d(now, now, 4, stride=2, padding=1))
                skips.append(now)
            for _ in range(blocks):
                self.down.append(Block(now, factor * width, emb, dropout, nn.Conv1d))
                now = factor * width
                skips.append(now)
        self.middle = Block(now, now, emb, dropout, nn.Conv1d)
        self.attention = Attention(now, nn.Conv1d)
        for level, factor in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                block = Block(now + skips.pop(), factor * width, emb, dropout, nn.Conv1d)
                self.up.append(block)
                now = factor * width
            if level:
                self.up.append(nn.ConvTranspose1d(now, now, 4, stride=2, padding=1))
        self.norm = nn.GroupNorm(groups_of(now), now)
        self.out = zeroed(nn.Conv1d(now, channels * patch, 3, padding=1))

    def forward(
        self,
        x: Tensor,
        features: Tensor,
        labels: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return (B, channels, L) of x (B, *, L)."""
        length = x.shape[-1]
        x = beside(x, condition)
        x = F.pad(x, (0, -length % self.multiple), mode="replicate")
        embedding = self.conditioning(features, labels, condition)
        x = self.stem(folded(x, self.patch))
        skips = [x]
        for layer in self.down:
            x = layer(x, embedding) if isinstance(layer, Block) else layer(x)
            skips.append(x)
        x = self.middle(x, embedding)
        x = self.attention(x + places_like(x))
        for layer in self.up:
            if isinstance(layer, Block):
                x = layer(torch.cat([x, skips.pop()], dim=1), embedding)
            else:
                x = layer(x)
        return unfolded(self.out(F.silu(self.norm(x))), self.patch)[..., :length]


def unet1d(
    shape: tuple[int, ...],
    kernel: FieldKernel,
    *,
    width: int = 48,
    multipliers: Sequence[int] = (1, 2),
    blocks: int = 1,
    patch: int = 1,
    labels: int = 0,
    dropout: float = 0.0,
    sigma_data: float = 0.5,
    condition: Sequence[int] | None = None,
) -> Preconditioned:
    """Build a preconditioned U-Net for series of shape (C, L).

    Args:
        shape: (C, L).
        kernel: the field kernel.
        width: channels at the finest resolution.
        multipliers: channels per resolution, times width; each further one halves the length.
        blocks: residual blocks per resolution.
        patch: so many times in a row are folded into channels first.
        labels: number of classes, 0 for none.
        dropout: probability in [0, 1).
        sigma_data: standard deviation of the data.
        condition: shape of one condition, None for none: a series (C', L') is scaled to the length
            and laid beside the channels, a vector is embedded with the noise level.

    Raises:
        ZooError: the shape is not a series', or a size is not positive.
    """
    if len(shape) != 2:
        raise ZooError(f"unet1d takes series (C, L), not shape {tuple(shape)}; mlp takes vectors")
    check_options("unet1d", dropout=dropout, labels=labels, width=width, blocks=blocks, patch=patch)
    factors = check_multipliers("unet1d", multipliers)
    channels, numbers = placed(condition, shape)
    backbone = UNet1d(
        shape[0],
        shape[0] + channels,
        numbers,
        width=width,
        multipliers=factors,
        blocks=blocks,
        patch=patch,
        labels=labels,
        dropout=dropout,
    )
    return Preconditioned(
        backbone, shape, kernel, labels=labels, sigma_data=sigma_data, condition=condition
    )

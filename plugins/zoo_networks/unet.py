"""A time-conditioned residual U-Net for images of any size and channel count.

Source: DDPM (arXiv:2006.11239) with the scale-and-shift conditioning of arXiv:2105.05233, on
pixels folded into channels (space-to-depth), which buys most of the speed on small images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import ZooError
from zoo.interfaces import FieldKernel
from zoo.networks import Mixture, MixtureSkip, Preconditioned
from zoo_networks.common import (
    Conditioning,
    beside,
    check_image,
    check_multipliers,
    check_options,
    placed,
    zeroed,
)

Conv = type[nn.Conv1d] | type[nn.Conv2d]


def groups_of(channels: int) -> int:
    """Return the number of groups to normalise: up to 32, of two channels at least."""
    groups = math.gcd(channels, 32 if channels >= 64 else 8)
    return groups if groups < channels else max(1, groups // 2)


class Block(nn.Module):
    """norm, conv, scale and shift by the embedding, norm, conv, plus the input."""

    def __init__(
        self, inside: int, outside: int, embedding: int, dropout: float, conv: Conv = nn.Conv2d
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups_of(inside), inside)
        self.conv1 = conv(inside, outside, 3, padding=1)
        self.affine = nn.Linear(embedding, 2 * outside)
        self.norm2 = nn.GroupNorm(groups_of(outside), outside)
        self.conv2 = zeroed(conv(outside, outside, 3, padding=1))
        self.dropout = dropout
        self.skip = conv(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return (B, outside, *) from images or series (B, inside, *) and (B, embedding)."""
        h = self.conv1(F.silu(self.norm1(x)))
        affine = self.affine(embedding).reshape(len(x), -1, *[1] * (x.ndim - 2))
        scale, shift = affine.chunk(2, dim=1)
        h = F.silu(torch.addcmul(shift, self.norm2(h), scale + 1))
        change: Tensor = self.conv2(F.dropout(h, self.dropout, self.training))
        return change.add(self.skip(x))


class Attention(nn.Module):
    """Self-attention over all pixels or times, heads of 64 channels or fewer."""

    def __init__(self, channels: int, conv: Conv = nn.Conv2d) -> None:
        super().__init__()
        self.heads = max(1, channels // 64)
        self.norm = nn.GroupNorm(groups_of(channels), channels)
        self.qkv = conv(channels, 3 * channels, 1)
        self.out = zeroed(conv(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus what its pixels attend to, (B, C, *)."""
        batch, channels = x.shape[:2]
        places = math.prod(x.shape[2:])
        qkv = self.qkv(self.norm(x)).reshape(batch, 3, self.heads, channels // self.heads, places)
        q, k, v = qkv.transpose(-1, -2).unbind(dim=1)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2)
        change: Tensor = self.out(seen.reshape(x.shape))
        return x + change


class Fold(nn.Sequential):
    """Halve the resolution: 2x2 pixels into channels, then a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, channels, 1))


class Unfold(nn.Sequential):
    """Double the resolution: a 1x1 convolution, then channels into 2x2 pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Conv2d(channels, 4 * channels, 1), nn.PixelShuffle(2))


class UNet(nn.Module):
    """The backbone F(x, features, labels, condition).

    It has so many `channels`, is shown so many `inputs`, those of a condition among them, and the
    condition as so many `numbers`.
    """

    def __init__(
        self,
        channels: int,
        *,
        inputs: int,
        numbers: int,
        width: int,
        multipliers: Sequence[int],
        blocks: int,
        patch: int,
        attention: Sequence[int],
        labels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        emb = 4 * width
        self.patch, self.multiple = patch, patch * 2 ** (len(multipliers) - 1)
        self.conditioning = Conditioning(emb, labels, numbers)
        self.stem = nn.Conv2d(inputs * patch**2, width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, now = [width], width
        for level, factor in enumerate(multipliers):
            if level:
                self.down.append(Fold(now))
                skips.append(now)
            for _ in range(blocks):
                self.down.append(Block(now, factor * width, emb, dropout))
                now = factor * width
                skips.append(now)
                if level in attention:
                    self.down.append(Attention(now))
        self.middle = Block(now, now, emb, dropout)
        for level, factor in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                self.up.append(Block(now + skips.pop(), factor * width, emb, dropout))
                now = factor * width
                if level in attention:
                    self.up.append(Attention(now))
            if level:
                self.up.append(Unfold(now))
        self.norm = nn.GroupNorm(groups_of(now), now)
        self.out = zeroed(nn.Conv2d(now, channels * patch**2, 3, padding=1))

    def forward(
        self,
        x: Tensor,
        features: Tensor,
        labels: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return (B, channels, H, W) of x (B, *, H, W); odd sizes are padded and cropped."""
        height, width = x.shape[-2:]
        x = beside(x, condition)
        pad = (-width % self.multiple, -height % self.multiple)
        if any(pad):
            x = F.pad(x, (0, pad[0], 0, pad[1]), mode="replicate")
        embedding = self.conditioning(features, labels, condition)
        x = self.stem(F.pixel_unshuffle(x, self.patch))
        skips = [x]
        for layer in self.down:
            if isinstance(layer, Attention):
                skips[-1] = x = layer(x)
                continue
            x = layer(x, embedding) if isinstance(layer, Block) else layer(x)
            skips.append(x)
        x = self.middle(x, embedding)
        for layer in self.up:
            if isinstance(layer, Block):
                x = layer(torch.cat([x, skips.pop()], dim=1), embedding)
            else:
                x = layer(x)
        x = F.pixel_shuffle(self.out(F.silu(self.norm(x))), self.patch)
        return x[..., :height, :width]


def unet(
    shape: tuple[int, ...],
    kernel: FieldKernel,
    *,
    width: int = 64,
    multipliers: Sequence[int] = (1, 2),
    blocks: int = 2,
    patch: int = 1,
    attention: Sequence[int] = (),
    labels: int = 0,
    dropout: float = 0.0,
    sigma_data: float = 0.5,
    components: int = 0,
    basis: int = 128,
    groups: int = 1,
    condition: Sequence[int] | None = None,
) -> Preconditioned:
    """Build a preconditioned U-Net for images of shape (C, H, W).

    Args:
        shape: (C, H, W).
        kernel: the field kernel.
        width: channels at the finest resolution.
        multipliers: channels per resolution, times width; each further one halves the size.
        blocks: residual blocks per resolution.
        patch: side of the pixel blocks that are folded into channels first.
        attention: resolutions (0 is the finest) that get self-attention.
        labels: number of classes, 0 for none.
        dropout: probability in [0, 1).
        sigma_data: standard deviation of the data.
        components: centres of the mixture that replaces EDM's skip connection
            (zoo.networks.mixture), 0 for none.
        basis: principal components that it lives in.
        groups: kinds of images that it distinguishes, each with components and basis of its own;
            the classes where there are labels.
        condition: shape of one condition, None for none: an image is scaled to the data's size and
            laid beside its channels, a vector is embedded with the noise level.

    Raises:
        ZooError: the shape is not an image's, or a size is not positive.
    """
    check_image("unet", shape)
    factors = check_multipliers("unet", multipliers)
    _check(len(factors), attention, components)
    check_options("unet", dropout=dropout, labels=labels, width=width, blocks=blocks, patch=patch)
    channels, numbers = placed(condition, shape)
    backbone = UNet(
        shape[0],
        inputs=shape[0] * (2 if components else 1) + channels,
        numbers=numbers,
        width=width,
        multipliers=factors,
        blocks=blocks,
        patch=patch,
        attention=tuple(attention),
        labels=labels,
        dropout=dropout,
    )
    if not components:
        return Preconditioned(
            backbone, shape, kernel, labels=labels, sigma_data=sigma_data, condition=condition
        )
    mixture = Mixture(
        kernel.dim, components, basis, groups=groups, labels=labels, sigma_data=sigma_data
    )
    return MixtureSkip(
        backbone,
        shape,
        kernel,
        mixture,
        labels=labels,
        sigma_data=sigma_data,
        condition=condition,
    )


def _check(levels: int, attention: Sequence[int], components: int) -> None:
    """Raise ZooError for options that make no U-Net."""
    if not set(attention) <= set(range(levels)):
        raise ZooError(
            f"unet: attention = {attention!r}; resolutions are {[*range(levels)]}, 0 the finest"
        )
    if not 0 <= components <= 10_000:
        raise ZooError(f"unet: components = {components}; expected 0 for no mixture, to 10,000")

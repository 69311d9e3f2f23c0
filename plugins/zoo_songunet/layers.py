"""Layers of DDPM++, NCSN++ and ADM: convolutions that resample, residual blocks, attention.

Source: score SDE, arXiv:2011.13456, appendix H; BigGAN's residual blocks, arXiv:1809.11096;
StyleGAN2's filters, arXiv:1912.04958; ADM, arXiv:2105.05233, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import ZooError

HALF = math.sqrt(0.5)

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def group_norm(channels: int, eps: float = 1e-6) -> nn.GroupNorm:
    """Return GroupNorm over at most 32 groups of at least 4 channels.

    Raises:
        ZooError: they do not divide the channels.
    """
    groups = max(1, min(32, channels // 4))
    if channels % groups:
        raise ZooError(
            f"{channels} channels do not divide into {groups} groups of normalisation; choose "
            "width and multipliers with products divisible by 32, or by 4 below 128"
        )
    return nn.GroupNorm(groups, channels, eps=eps)


def conv(into: int, out: int, kernel: int, gain: float = 1.0) -> nn.Conv2d:
    """Return a convolution that keeps the size, initialised as all are here."""
    return initialise(nn.Conv2d(into, out, kernel, padding=kernel // 2), gain)


def linear(into: int, out: int, *, bias: bool = True) -> nn.Linear:
    """Return a linear layer, initialised as all are here."""
    return initialise(nn.Linear(into, out, bias=bias))


def initialise(layer: Layer, gain: float = 1.0) -> Layer:
    """Return the layer with Xavier-uniform weights times gain, and no bias."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def low_pass(taps: Sequence[int]) -> Tensor:
    """Return the separable filter of unit sum, outer(taps, taps), shape (1, 1, k, k)."""
    row = torch.tensor(taps, dtype=torch.float32)
    row = row / row.sum()
    return row.outer(row)[None, None]


class Down(nn.Module):
    """Filter and keep every second pixel: (B, C, H, W) to (B, C, H/2, W/2)."""

    resample_filter: Tensor

    def __init__(self, taps: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("resample_filter", low_pass(taps))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H/2, W/2)."""
        return halved(x, self.resample_filter)


class Up(Down):
    """Fill in zeros between pixels and filter: (B, C, H, W) to (B, C, 2H, 2W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, 2H, 2W)."""
        return doubled(x, self.resample_filter)


def halved(x: Tensor, kernel: Tensor) -> Tensor:
    """Return every second pixel of the filtered x, (B, C, H/2, W/2)."""
    count, margin = x.shape[1], (kernel.shape[-1] - 1) // 2
    return F.conv2d(x, kernel.expand(count, -1, -1, -1), stride=2, padding=margin, groups=count)


def doubled(x: Tensor, kernel: Tensor) -> Tensor:
    """Return x with zeros between its pixels, filtered, (B, C, 2H, 2W)."""
    count, margin = x.shape[1], (kernel.shape[-1] - 1) // 2
    filters = 4 * kernel.expand(count, -1, -1, -1)
    return F.conv_transpose2d(x, filters, stride=2, padding=margin, groups=count)


class _Resampling(nn.Conv2d):
    """A convolution beside a low-pass filter."""

    resample_filter: Tensor

    def __init__(self, into: int, out: int, kernel: int, taps: Sequence[int]) -> None:
        super().__init__(into, out, kernel, padding=kernel // 2)
        initialise(self)
        self.register_buffer("resample_filter", low_pass(taps))

    def filters(self, channels: int) -> Tensor:
        """Return the filter once per channel, shape (channels, 1, k, k)."""
        return self.resample_filter.expand(channels, -1, -1, -1)


class DownConv(_Resampling):
    """Filter and keep every second pixel, then convolve: (B, C, H, W) to (B, out, H/2, W/2)."""

    alone = Down

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, H/2, W/2)."""
        return super().forward(halved(x, self.resample_filter))


class UpConv(_Resampling):
    """Fill in zeros between pixels, filter, then convolve: (B, C, H, W) to (B, out, 2H, 2W)."""

    alone = Up

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, 2H, 2W)."""
        return super().forward(doubled(x, self.resample_filter))


class PyramidConv(_Resampling):
    """Convolve the image surrounded by zeros, filter, keep every second pixel, add the bias."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, H/2, W/2)."""
        margin = self.kernel_size[0] // 2 + (self.resample_filter.shape[-1] - 1) // 2
        wide = F.conv2d(x, self.weight, padding=margin)
        small = F.conv2d(wide, self.filters(wide.shape[1]), stride=2, groups=wide.shape[1])
        return small if self.bias is None else small + self.bias[:, None, None]


class Style(NamedTuple):
    """What residual blocks of different networks differ in.

    Attributes:
        gain: g, of every sum of a block with what it was made of.
        eps: of group normalisation.
        scales: the embedding scales and shifts norm1's result, else it is added before norm1.
        projects: a block that resamples has a 1x1 convolution beside it, even to as many channels.
        head: channels per head of attention, of which as many as fit, so that narrower blocks have
            no attention; 0 for one head of all.
    """

    gain: float = HALF
    eps: float = 1e-6
    scales: bool = False
    projects: bool = True
    head: int = 0

    def heads(self, channels: int) -> int:
        """Return the heads of attention in a block that may attend.

        Raises:
            ZooError: they would not divide the channels.
        """
        if not self.head:
            return 1
        heads = channels // self.head
        if heads and channels % heads:
            raise ZooError(
                f"{channels} channels do not divide into {heads} heads of attention; choose width "
                f"and multipliers with products divisible by {self.head}"
            )
        return heads


SONG = Style()


class Block(nn.Module):
    """Residual block, conditioned by an embedding e, with or without attention.

    h = conv1(SiLU(norm1(conv0(SiLU(norm0 x)) + affine e))),   x' = g (h + skip x)

    or, where the style scales, conv1(SiLU((1 + a) norm1(conv0(SiLU(norm0 x))) + b)) with
    (a, b) = affine e.

    Args:
        into: channels of x.
        out: channels of the result.
        embedding: width of e.
        dropout: before conv1.
        attention: follow with self-attention, x'' = g (proj a + x').
        resample: DownConv or UpConv, for conv0 and skip; None keeps the size.
        taps: of their filter.
        style: of the network.
    """

    def __init__(
        self,
        into: int,
        out: int,
        embedding: int,
        *,
        dropout: float = 0.0,
        attention: bool = False,
        resample: type[DownConv] | type[UpConv] | None = None,
        taps: Sequence[int] = (1, 1),
        style: Style = SONG,
    ) -> None:
        super().__init__()
        self.into, self.dropout, self.style = into, dropout, style
        self.norm0 = group_norm(into, style.eps)
        self.conv0 = resample(into, out, 3, taps) if resample else conv(into, out, 3)
        self.affine = linear(embedding, 2 * out if style.scales else out)
        self.norm1 = group_norm(out, style.eps)
        self.conv1 = conv(out, out, 3, gain=1e-5)
        self.skip: nn.Module | None = None
        if resample and (style.projects or into != out):
            self.skip = resample(into, out, 1, taps)
        elif resample:
            self.skip = resample.alone(taps)
        elif into != out:
            self.skip = conv(into, out, 1)
        self.heads = style.heads(out) if attention else 0
        if self.heads:
            self.norm2 = group_norm(out, style.eps)
            self.qkv = conv(out, 3 * out, 1, gain=math.sqrt(0.2))
            self.proj = conv(out, out, 1, gain=1e-5)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return (B, out, H', W') from (B, into, H, W) and (B, embedding)."""
        h, given = self.conv0(F.silu(self.norm0(x))), self.affine(embedding)[:, :, None, None]
        if self.style.scales:
            scale, shift = given.chunk(2, dim=1)
            h = self.norm1(h) * (1 + scale) + shift
        else:
            h = self.norm1(h + given)
        h = self.conv1(F.dropout(F.silu(h), self.dropout, self.training))
        gain = self.style.gain
        x = gain * (h + (x if self.skip is None else self.skip(x)))
        return gain * (self.proj(self._attention(x)) + x) if self.heads else x

    def _attention(self, x: Tensor) -> Tensor:
        """Return softmax(q k / sqrt c) v over pixels, c channels a head.

        Of a head's 3 c channels, 3j + {0, 1, 2} are q, k, v of j.
        """
        batch, channels, height, width = x.shape
        each = channels // self.heads
        qkv = self.qkv(self.norm2(x)).reshape(batch, self.heads, each, 3, height * width)
        q, k, v = (part.transpose(2, 3) for part in qkv.unbind(3))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return mixed.transpose(2, 3).reshape(batch, channels, height, width)

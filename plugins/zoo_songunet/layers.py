"""Layers of DDPM++ and NCSN++: convolutions that resample, residual blocks, attention, embeddings.

Source: score SDE, arXiv:2011.13456, appendix H; BigGAN's residual blocks, arXiv:1809.11096;
StyleGAN2's filters, arXiv:1912.04958.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HALF = math.sqrt(0.5)

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def group_norm(channels: int) -> nn.GroupNorm:
    """Return GroupNorm over at most 32 groups of at least 4 channels."""
    return nn.GroupNorm(max(1, min(32, channels // 4)), channels, eps=1e-6)


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


class _Resampling(nn.Conv2d):
    """A convolution beside a separable low-pass filter of unit sum, outer(taps, taps)."""

    resample_filter: Tensor

    def __init__(self, into: int, out: int, kernel: int, taps: Sequence[int]) -> None:
        super().__init__(into, out, kernel, padding=kernel // 2)
        initialise(self)
        row = torch.tensor(taps, dtype=torch.float32)
        row = row / row.sum()
        self.register_buffer("resample_filter", row.outer(row)[None, None])
        self.margin = (len(taps) - 1) // 2

    def filters(self, channels: int) -> Tensor:
        """Return the filter once per channel, shape (channels, 1, k, k)."""
        return self.resample_filter.expand(channels, -1, -1, -1)


class DownConv(_Resampling):
    """Filter and keep every second pixel, then convolve: (B, C, H, W) to (B, out, H/2, W/2)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, H/2, W/2)."""
        count = x.shape[1]
        small = F.conv2d(x, self.filters(count), stride=2, padding=self.margin, groups=count)
        return super().forward(small)


class UpConv(_Resampling):
    """Fill in zeros between pixels, filter, then convolve: (B, C, H, W) to (B, out, 2H, 2W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, 2H, 2W)."""
        count = x.shape[1]
        large = F.conv_transpose2d(
            x, 4 * self.filters(count), stride=2, padding=self.margin, groups=count
        )
        return super().forward(large)


class PyramidConv(_Resampling):
    """Convolve the image surrounded by zeros, filter, keep every second pixel, add the bias."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, H/2, W/2)."""
        wide = F.conv2d(x, self.weight, padding=self.kernel_size[0] // 2 + self.margin)
        small = F.conv2d(wide, self.filters(wide.shape[1]), stride=2, groups=wide.shape[1])
        return small if self.bias is None else small + self.bias[:, None, None]


class Block(nn.Module):
    """Residual block, conditioned by an added embedding, with or without attention.

    h = conv1(SiLU(norm1(conv0(SiLU(norm0 x)) + affine e))),   x' = (h + skip x) / sqrt 2

    Args:
        into: channels of x.
        out: channels of the result.
        embedding: width of e.
        dropout: before conv1.
        attention: follow with self-attention of one head, x'' = (proj a + x') / sqrt 2.
        resample: DownConv or UpConv, for conv0 and skip; None keeps the size.
        taps: of their filter.
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
    ) -> None:
        super().__init__()
        self.into, self.dropout = into, dropout
        self.norm0 = group_norm(into)
        self.conv0 = resample(into, out, 3, taps) if resample else conv(into, out, 3)
        self.affine = linear(embedding, out)
        self.norm1 = group_norm(out)
        self.conv1 = conv(out, out, 3, gain=1e-5)
        self.skip: nn.Module | None = None
        if resample:
            self.skip = resample(into, out, 1, taps)
        elif into != out:
            self.skip = conv(into, out, 1)
        self.attends = attention
        if attention:
            self.norm2 = group_norm(out)
            self.qkv = conv(out, 3 * out, 1, gain=math.sqrt(0.2))
            self.proj = conv(out, out, 1, gain=1e-5)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return (B, out, H', W') from (B, into, H, W) and (B, embedding)."""
        h = self.conv0(F.silu(self.norm0(x))) + self.affine(embedding)[:, :, None, None]
        h = self.conv1(F.dropout(F.silu(self.norm1(h)), self.dropout, self.training))
        x = HALF * (h + (x if self.skip is None else self.skip(x)))
        return HALF * (self.proj(self._attention(x)) + x) if self.attends else x

    def _attention(self, x: Tensor) -> Tensor:
        """Return softmax(q k / sqrt C) v over pixels; channel 3j + {0, 1, 2} is q, k, v of j."""
        batch, channels, height, width = x.shape
        qkv = self.qkv(self.norm2(x)).reshape(batch, channels, 3, height * width)
        q, k, v = (part.transpose(1, 2)[:, None] for part in qkv.unbind(2))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return mixed[:, 0].transpose(1, 2).reshape(batch, channels, height, width)


class Positional(nn.Module):
    """[sin(c f), cos(c f)] with frequencies f_j = 10000^(-j / (n - 1)), j = 0 ... n - 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.count = width // 2
        self.width = 2 * self.count

    def forward(self, c: Tensor) -> Tensor:
        """Return (B, width) from (B,)."""
        j = torch.arange(self.count, device=c.device, dtype=c.dtype) / max(1, self.count - 1)
        angles = c[:, None] * 1e-4**j
        return torch.cat([angles.sin(), angles.cos()], dim=1)


class Fourier(nn.Module):
    """[sin(2 pi c f), cos(2 pi c f)] with frequencies f ~ N(0, 16^2), drawn once."""

    freqs: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = 2 * width
        self.register_buffer("freqs", 16 * torch.randn(width))

    def forward(self, c: Tensor) -> Tensor:
        """Return (B, 2 width) from (B,)."""
        angles = 2 * math.pi * c[:, None] * self.freqs
        return torch.cat([angles.sin(), angles.cos()], dim=1)

"""A diffusion transformer: patches as tokens, conditioning by adaptive layer norm (adaLN-Zero).

Source: DiT, arXiv:2212.09748, section 3.2; attention and MLP are timm's layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.layers import Attention, Mlp, PatchEmbed, build_sincos2d_pos_embed
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import ZooError
from zoo.interfaces import FieldKernel
from zoo.networks import Preconditioned
from zoo_networks.common import (
    Conditioning,
    beside,
    check_image,
    check_options,
    placed,
    zeroed,
)


class Block(nn.Module):
    """Attention and MLP, each normalised, shifted, scaled and gated by the embedding."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attention = Attention(width, num_heads=heads, qkv_bias=True)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.mlp = Mlp(width, 4 * width, drop=dropout)
        self.affine = zeroed(nn.Linear(width, 6 * width))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return tokens (B, N, width) from tokens and embedding (B, width)."""
        affine: Tensor = self.affine(embedding)[:, None]
        shift1, scale1, gate1, shift2, scale2, gate2 = affine.chunk(6, -1)
        attended: Tensor = self.attention(torch.addcmul(shift1, self.norm1(x), scale1 + 1))
        x = x + gate1 * attended
        changed: Tensor = self.mlp(torch.addcmul(shift2, self.norm2(x), scale2 + 1))
        return x + gate2 * changed


class DiT(nn.Module):
    """The backbone F(x, features, labels, condition); sizes that do not fit the patch are padded.

    It is shown so many channels of a condition beside those of the data, and so many numbers of it.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int,
        depth: int,
        heads: int,
        patch: int,
        labels: int,
        dropout: float,
        more: int = 0,
        numbers: int = 0,
    ) -> None:
        super().__init__()
        channels, height, side = shape
        self.patch = patch
        self.size = (height + -height % patch, side + -side % patch)
        self.rows, self.columns = self.size[0] // patch, self.size[1] // patch
        self.conditioning = Conditioning(width, labels, numbers)
        self.embed = PatchEmbed(self.size, patch, channels + more, width)
        position = build_sincos2d_pos_embed(
            [self.rows, self.columns], width, interleave_sin_cos=True
        )
        self.position = nn.Parameter(position[None], requires_grad=False)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.affine = zeroed(nn.Linear(width, 2 * width))
        self.out = zeroed(nn.Linear(width, channels * patch**2))

    def forward(
        self,
        x: Tensor,
        features: Tensor,
        labels: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return (B, C, H, W)."""
        height, width = x.shape[-2:]
        x = beside(x, condition)
        x = F.pad(x, (0, self.size[1] - width, 0, self.size[0] - height), mode="replicate")
        embedding = self.conditioning(features, labels, condition)
        tokens = self.embed(x) + self.position
        for block in self.blocks:
            tokens = block(tokens, embedding)
        shift, scale = self.affine(embedding)[:, None].chunk(2, -1)
        tokens = self.out(torch.addcmul(shift, self.norm(tokens), scale + 1))
        image = tokens.mT.unflatten(2, (self.rows, self.columns))
        return F.pixel_shuffle(image, self.patch)[..., :height, :width]


def dit(
    shape: tuple[int, ...],
    kernel: FieldKernel,
    *,
    width: int = 192,
    depth: int = 6,
    heads: int = 3,
    patch: int = 4,
    labels: int = 0,
    dropout: float = 0.0,
    sigma_data: float = 0.5,
    condition: Sequence[int] | None = None,
) -> Preconditioned:
    """Build a preconditioned DiT for images of shape (C, H, W).

    Args:
        shape: (C, H, W).
        kernel: the field kernel.
        width: of a token, a multiple of 4 and of `heads`.
        depth: transformer blocks.
        heads: attention heads.
        patch: side of the pixel block that is one token.
        labels: number of classes, 0 for none.
        dropout: probability in [0, 1).
        sigma_data: standard deviation of the data.
        condition: shape of one condition, None for none: an image is scaled to the data's size and
            laid beside its channels, a vector is embedded with the noise level.

    Raises:
        ZooError: the shape is not an image's, or the sizes do not fit.
    """
    check_image("dit", shape)
    sizes = {"width": width, "depth": depth, "heads": heads, "patch": patch}
    check_options("dit", dropout=dropout, labels=labels, **sizes)
    if width % 4 or width % heads:
        raise ZooError(f"dit: width = {width} has to be a multiple of 4 and of heads = {heads}")
    channels, numbers = placed(condition, shape)
    backbone = DiT(
        shape,
        width=width,
        depth=depth,
        heads=heads,
        patch=patch,
        labels=labels,
        dropout=dropout,
        more=channels,
        numbers=numbers,
    )
    return Preconditioned(
        backbone, shape, kernel, labels=labels, sigma_data=sigma_data, condition=condition
    )

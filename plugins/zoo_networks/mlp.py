"""A residual MLP for vectors, conditioned on the noise level and on what is given.

Source: residual blocks of arXiv:2106.11959, section 3.2, with scale-and-shift conditioning.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.interfaces import FieldKernel
from zoo.networks import Preconditioned
from zoo_networks.common import Conditioning, check_options, placed, zeroed


class Block(nn.Module):
    """norm, scale and shift by the embedding, two linear layers, plus the input."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.affine = nn.Linear(width, 2 * width)
        self.into, self.out = nn.Linear(width, 2 * width), zeroed(nn.Linear(2 * width, width))
        self.dropout = dropout

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return (B, width) from (B, width) twice."""
        scale, shift = self.affine(embedding).chunk(2, dim=1)
        h = F.silu(self.into(torch.addcmul(shift, self.norm(x), scale + 1)))
        change: Tensor = self.out(F.dropout(h, self.dropout, self.training))
        return x + change


class MLP(nn.Module):
    """The backbone F(x, features, labels, condition) on flattened data."""

    def __init__(
        self, dim: int, width: int, blocks: int, labels: int, dropout: float, numbers: int = 0
    ) -> None:
        super().__init__()
        self.conditioning = Conditioning(width, labels, numbers)
        self.stem = nn.Linear(dim + numbers, width)
        self.blocks = nn.ModuleList(Block(width, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = zeroed(nn.Linear(width, dim))

    def forward(
        self,
        x: Tensor,
        features: Tensor,
        labels: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return the shape of x, (B, *)."""
        embedding = self.conditioning(features, labels, condition)
        seen = x.flatten(1)
        if condition is not None:
            seen = torch.cat([seen, condition.flatten(1)], dim=1)
        h = self.stem(seen)
        for block in self.blocks:
            h = block(h, embedding)
        out: Tensor = self.out(self.norm(h))
        return out.reshape(x.shape)


def mlp(
    shape: tuple[int, ...],
    kernel: FieldKernel,
    *,
    width: int = 256,
    blocks: int = 4,
    labels: int = 0,
    dropout: float = 0.0,
    sigma_data: float = 0.5,
    condition: Sequence[int] | None = None,
) -> Preconditioned:
    """Build a preconditioned residual MLP for data of any shape, flattened.

    Args:
        shape: of one sample.
        kernel: the field kernel.
        width: hidden units.
        blocks: residual blocks.
        labels: number of classes, 0 for none.
        dropout: probability in [0, 1).
        sigma_data: standard deviation of the data.
        condition: shape of one condition, flattened too; None for none.

    Raises:
        ZooError: an option out of range.
    """
    check_options("mlp", dropout=dropout, labels=labels, width=width, blocks=blocks)
    numbers = sum(placed(condition, (kernel.dim,)))
    backbone = MLP(kernel.dim, width, blocks, labels, dropout, numbers)
    return Preconditioned(
        backbone, shape, kernel, labels=labels, sigma_data=sigma_data, condition=condition
    )

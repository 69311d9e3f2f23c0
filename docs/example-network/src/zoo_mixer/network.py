"""MLP-Mixer as a denoiser: one MLP mixes across the patches, then one across their channels.

Source: arXiv:2105.01601, section 2, with scale and shift by the noise level before each MLP.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import ZooError
from zoo.interfaces import FieldKernel, check_integer
from zoo.networks import FEATURES, Preconditioned


def perceptron(width: int, hidden: int) -> nn.Sequential:
    """Return width -> hidden -> width."""
    return nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, width))


class Block(nn.Module):
    """Mix across the patches, then along the channels; each adds to its input."""

    def __init__(self, patches: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.affine = nn.Linear(width, 4 * width)
        self.across, self.along = perceptron(patches, 2 * patches), perceptron(width, 2 * width)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Return (B, patches, width) from (B, patches, width) and (B, width)."""
        grow, add, grow_too, add_too = self.affine(embedding).unsqueeze(1).chunk(4, dim=2)
        mixed = self.norm(h) * (1 + grow) + add
        h = h + self.across(mixed.transpose(1, 2)).transpose(1, 2)
        return h + self.along(self.norm(h) * (1 + grow_too) + add_too)  # type: ignore[no-any-return]


class Mixer(nn.Module):
    """The backbone F(x, features) on images cut into patches."""

    def __init__(self, shape: tuple[int, ...], patch: int, width: int, blocks: int) -> None:
        super().__init__()
        channels, height, breadth = shape
        self.patch, self.sides = patch, (height, breadth)
        patches, inside = height // patch * (breadth // patch), channels * patch**2
        self.embed = nn.Sequential(nn.Linear(FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.into, self.out = nn.Linear(inside, width), nn.Linear(width, inside)
        self.place = nn.Parameter(0.02 * torch.randn(patches, width))
        self.blocks = nn.ModuleList(Block(patches, width) for _ in range(blocks))

    def forward(self, x: Tensor, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the shape of x, (B, C, H, W); features are (B, 3), labels are ignored."""
        del labels
        h = self.into(F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)) + self.place
        embedding = F.silu(self.embed(features))
        for block in self.blocks:
            h = block(h, embedding)
        pieces = self.out(h).transpose(1, 2)
        return F.fold(pieces, self.sides, self.patch, stride=self.patch)


def mixer(
    shape: tuple[int, ...],
    kernel: FieldKernel,
    *,
    patch: int = 2,
    width: int = 48,
    blocks: int = 4,
    sigma_data: float = 0.5,
) -> Preconditioned:
    """Build a mixer for images (C, H, W) whose sides are multiples of `patch`.

    Args:
        shape: of one image.
        kernel: whose noise it sees.
        patch: side of a patch in pixels.
        width: channels per patch.
        blocks: number of blocks.
        sigma_data: standard deviation of the data.

    Raises:
        ZooError: data that are no images, or an impossible option.
    """
    for name, size in (("patch", patch), ("width", width), ("blocks", blocks)):
        check_integer(f"mixer: {name}", size, 1)
    if len(shape) != 3 or shape[1] % patch or shape[2] % patch:
        raise ZooError(f"mixer: shape = {shape}; expected (C, H, W), H and W multiples of {patch}")
    return Preconditioned(Mixer(shape, patch, width, blocks), shape, kernel, sigma_data=sigma_data)

"""What all three networks have in common: their conditioning, and checks of their options."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from zoo import ZooError
from zoo.interfaces import check_integer, check_real
from zoo.networks import FEATURES

_FREQUENCIES = 8
Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def zeroed(layer: Layer) -> Layer:
    """Return the layer with weights and biases 0, so that what it is added to is left as it was."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Conditioning(nn.Module):
    """Embed features (B, 3) and labels (B,) into (B, width).

    Each feature, a log level, is seen through sines and cosines of 1/4 to 8 radians per nat, so
    that a change of level by 2 % is visible; label -1 or None means "no class".
    Source: Fourier features, arXiv:2006.10739; noise conditioning, arXiv:2006.11239.
    """

    def __init__(self, width: int, labels: int = 0) -> None:
        super().__init__()
        self.levels = nn.Linear(2 * _FREQUENCIES * FEATURES, width)
        self.out = nn.Linear(width, width)
        self.classes = nn.Embedding(labels + 1, width) if labels else None

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Return the embedding, SiLU already applied, shape (B, width)."""
        octaves = torch.linspace(-2, 3, _FREQUENCIES, device=features.device)
        angles = (features[..., None] * octaves.exp2().to(features)).flatten(1)
        x = self.levels(torch.cat([angles.sin(), angles.cos()], dim=1))
        if self.classes is not None:
            index = features.new_zeros(len(features), dtype=torch.long)
            x = x + self.classes(index if labels is None else labels + 1)
        return nn.functional.silu(self.out(nn.functional.silu(x)))


def check_options(network: str, *, dropout: float, labels: int, **sizes: int) -> None:
    """Raise ZooError unless dropout is in [0, 1), labels >= 0 and all sizes whole numbers >= 1."""
    for name, size in sizes.items():
        check_integer(f"{network}: {name}", size, 1)
    check_real(f"{network}: dropout", dropout, "a probability below 1", least=0, below=1)
    check_integer(f"{network}: labels", labels, 0)


def check_image(network: str, shape: tuple[int, ...]) -> None:
    """Raise ZooError for a shape that is no image's."""
    if len(shape) != 3:
        raise ZooError(
            f"{network} takes images (C, H, W), not shape {tuple(shape)}; use mlp for vectors"
        )

"""What all three networks have in common: their conditioning, and checks of their options."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.interfaces import check_integer, check_real
from zoo.networks import FEATURES

_FREQUENCIES = 8


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
    """Check the options of a network before it is built.

    Args:
        network: its name, for the message.
        dropout: probability in [0, 1).
        labels: number of classes, 0 for none.
        sizes: whole numbers of at least 1.

    Raises:
        ZooError: names the first option that is impossible.
    """
    for name, size in sizes.items():
        check_integer(f"{network}: {name}", size, 1)
    check_real(f"{network}: dropout", dropout, "a probability below 1", least=0, below=1)
    check_integer(f"{network}: labels", labels, 0)

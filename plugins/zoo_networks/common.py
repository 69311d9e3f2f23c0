"""What all networks have in common: their conditioning, and checks of their options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import ZooError
from zoo.interfaces import check_integer, check_real
from zoo.networks import FEATURES, check_condition_shape

_FREQUENCIES = 8
_MOST = {"blocks": 1000, "depth": 1000, "labels": 10**6, "multipliers": 20}
Layer = TypeVar("Layer", bound=nn.Module)


def zeroed(layer: Layer) -> Layer:
    """Return the layer with weights and biases 0, so that what it is added to is left as it was."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Conditioning(nn.Module):
    """Embed features (B, 3), labels (B,) and a condition (B, numbers) into (B, width).

    Each feature, a log level, is seen through sines and cosines of 1/4 to 8 radians per nat, so
    that a change of level by 2 % is visible; label -1 or None means "no class". The condition goes
    through two layers.
    Source: Fourier features, arXiv:2006.10739; noise conditioning, arXiv:2006.11239.
    """

    def __init__(self, width: int, labels: int = 0, numbers: int = 0) -> None:
        super().__init__()
        self.levels = nn.Linear(2 * _FREQUENCIES * FEATURES, width)
        self.out = nn.Linear(width, width)
        self.classes = nn.Embedding(labels + 1, width) if labels else None
        self.given: nn.Module | None = None
        if numbers:
            layers = nn.Linear(numbers, width), nn.SiLU(), nn.Linear(width, width)
            self.given = nn.Sequential(*layers)

    def forward(
        self, features: Tensor, labels: Tensor | None, condition: Tensor | None = None
    ) -> Tensor:
        """Return the embedding, SiLU already applied, shape (B, width)."""
        octaves = torch.linspace(-2, 3, _FREQUENCIES, device=features.device)
        angles = (features[..., None] * octaves.exp2().to(features)).flatten(1)
        x = self.levels(torch.cat([angles.sin(), angles.cos()], dim=1))
        if self.classes is not None:
            index = features.new_zeros(len(features), dtype=torch.long)
            x = x + self.classes(index if labels is None else labels + 1)
        if self.given is not None and condition is not None:
            x = x + self.given(condition.flatten(1))
        return nn.functional.silu(self.out(nn.functional.silu(x)))


def placed(condition: Sequence[int] | None, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return as how many channels, and as how many numbers, a backbone sees a condition.

    One of as many dimensions as data of several is laid beside them, channel by channel; any other
    is embedded as numbers. Either has one channel more, see zoo.networks.seen_condition.

    Raises:
        ZooError: it is no shape.
    """
    known = check_condition_shape(condition)
    if known is None:
        return 0, 0
    if len(known) == len(shape) > 1:
        return known[0] + 1, 0
    return 0, (known[0] + 1) * math.prod(known[1:])


def beside(x: Tensor, condition: Tensor | None) -> Tensor:
    """Return x (B, C, *size) with the channels of a condition, interpolated to its size."""
    if condition is None or condition.ndim != x.ndim:
        return x
    if condition.shape[2:] != x.shape[2:]:
        mode = "bilinear" if x.ndim == 4 else "linear"
        condition = F.interpolate(condition, x.shape[2:], mode=mode, align_corners=False)
    return torch.cat([x, condition], dim=1)


def check_options(network: str, *, dropout: float, labels: int, **sizes: int) -> None:
    """Raise ZooError unless dropout is in [0, 1), labels >= 0 and all sizes whole numbers >= 1.

    Layers and labels may not be so many that what they are made of alone fills the memory.
    """
    for name, size in sizes.items():
        check_integer(f"{network}: {name}", size, 1, _MOST.get(name))
    check_real(f"{network}: dropout", dropout, "a probability below 1", least=0, below=1)
    check_integer(f"{network}: labels", labels, 0, _MOST["labels"])


def check_multipliers(network: str, multipliers: Sequence[int]) -> tuple[int, ...]:
    """Return how many times the width the channels of each resolution are.

    Raises:
        ZooError: they are no whole numbers, or none, or of more resolutions than data have.
    """
    most = _MOST["multipliers"]
    if not isinstance(multipliers, list | tuple) or not 1 <= len(multipliers) <= most:
        raise ZooError(
            f"{network}: multipliers = {multipliers!r}; expected 1 to {most} whole numbers, "
            "such as [1, 2]"
        )
    return tuple(check_integer(f"{network}: multipliers", m, 1) for m in multipliers)


def check_image(network: str, shape: tuple[int, ...]) -> None:
    """Raise ZooError for a shape that is no image's."""
    if len(shape) != 3:
        raise ZooError(
            f"{network} takes images (C, H, W), not shape {tuple(shape)}; use mlp for vectors"
        )

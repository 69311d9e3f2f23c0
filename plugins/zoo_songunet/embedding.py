"""What the networks are told of the noise level: a number c as sines and cosines."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


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


class Timestep(Positional):
    """[cos(c f), sin(c f)] with frequencies f_j = 10000^(-j / n), j = 0 ... n - 1: ADM's."""

    def forward(self, c: Tensor) -> Tensor:
        """Return (B, width) from (B,)."""
        j = torch.arange(self.count, device=c.device, dtype=c.dtype) / self.count
        angles = c[:, None] * 1e-4**j
        return torch.cat([angles.cos(), angles.sin()], dim=1)

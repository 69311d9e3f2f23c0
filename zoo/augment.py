"""Augmentation: changes to x_0 that the data's law does not notice."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import ZooError


def flip(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Mirror each image of x, (B, C, H, W), left to right with probability 1/2.

    Raises:
        ZooError: x holds no images.
    """
    if x.ndim != 4:
        raise ZooError(f"flip takes images (B, C, H, W), not shape {tuple(x.shape)}")
    where = x.device if generator is None else generator.device
    mirrored = torch.rand(len(x), generator=generator, device=where) < 0.5
    return torch.where(mirrored.to(x.device)[:, None, None, None], x.flip(-1), x)

"""Integer images as densities: spread uniformly over their bins."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.sampling.rng import GROUP, by_group

LEVELS = 256


def dequantise(
    images: Tensor, *, seed: int = 0, value_range: tuple[float, float] = (-1.0, 1.0)
) -> Tensor:
    """Return integer images 0..255 spread uniformly over their bins, float64, same shape.

    Bins have width w = (high - low) / 255 and are centred on the values that models train on, so
    log P(image) >= E[log p(x)] + d log w by Jensen's inequality.
    Source: Theis, van den Oord and Bethge, arXiv:1511.01844, section 3.1.

    Args:
        images: integers (n, *shape).
        seed: the noise of sample i depends on (seed, i) alone.
        value_range: what 0 and 255 become.

    Raises:
        ZooError: values that are not integers of 0..255.
    """
    if images.is_floating_point() or images.is_complex() or images.dtype == torch.bool:
        raise ZooError(f"images are {str(images.dtype).removeprefix('torch.')}; expected integers")
    if len(images) and (int(images.min()) < 0 or int(images.max()) >= LEVELS):
        raise ZooError(f"images have values outside 0..{LEVELS - 1}")
    low, high = value_range
    noise = by_group(
        0,
        len(images),
        seed,
        lambda g: torch.rand((GROUP, *images.shape[1:]), generator=g, dtype=torch.float64),
    ).to(images.device)
    return low + (images.double() + noise - 0.5) * ((high - low) / (LEVELS - 1))

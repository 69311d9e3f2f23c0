"""Square images of a given size: scale the short side, then crop the centre."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from zoo.data.images import MAX_BYTE, Images
from zoo.errors import ZooError

CHUNK = 4096


def _resize(x: Tensor, size: int) -> Tensor:
    """Return x, (B, C, H, W) in [-1, 1], as (B, C, size, size); bilinear, so the range stays."""
    height, width = x.shape[-2:]
    short = min(height, width)
    scaled = (round(height * size / short), round(width * size / short))
    x = interpolate(x, scaled, mode="bilinear", antialias=True)
    top = (scaled[0] - size) // 2
    left = (scaled[1] - size) // 2
    return x[..., top : top + size, left : left + size]


def resize(data: Images, size: int) -> Images:
    """Return `data` with images of size x size; bytes stay bytes, in 0 to 255.

    Raises:
        ZooError: `data` holds vectors.
    """
    if len(data.shape) != 3:
        raise ZooError(f"{data.name} holds vectors, not images; size = {size} does not apply")
    if data.shape[1:] == (size, size):
        return data
    whole = data.images.dtype == torch.uint8
    out = torch.empty((len(data), data.shape[0], size, size), dtype=data.images.dtype)
    for chunk in torch.split(torch.arange(len(data)), CHUNK):
        x = _resize(data.batch(chunk), size)
        out[chunk] = ((x + 1) * (MAX_BYTE / 2)).round().to(torch.uint8) if whole else x
    return replace(data, images=out, top=MAX_BYTE)

"""Augmentation: flips, which keep the data distribution, and changes with augmentation labels.

The network gets the labels as a condition, so that the changes do not leak into samples.
Source: arXiv:2206.00364, appendix F.2, table 6.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from zoo.errors import ZooError

# Augmentation labels: flips 2, scale 1, rotation 2, stretch 2, shift 2.
LABELS = 9
_SCALE = 2**0.2
_STRETCH = 2**0.2
_SHIFT = 1 / 8


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


class Changes:
    """Random changes of n images; a change that is not applied is 0.

    Each kind has the given probability, but for left-right flips, which have 1/2.
    """

    def __init__(self, n: int, probability: float, generator: Generator | None = None) -> None:
        where = None if generator is None else generator.device

        def uniform() -> Tensor:
            return torch.rand(n, generator=generator, device=where)

        def normal() -> Tensor:
            return torch.randn(n, generator=generator, device=where)

        def sometimes(value: Tensor) -> Tensor:
            return torch.where(uniform() < probability, value, 0.0)

        self.x_flip = (uniform() < 0.5).float()
        self.y_flip = sometimes((uniform() < 0.5).float())
        self.scale = sometimes(normal())
        self.angle = sometimes(math.pi * (2 * uniform() - 1))
        self.axis = math.pi * (2 * uniform() - 1)
        self.stretch = sometimes(normal())
        shift = (uniform() < probability).float()
        self.x_shift = shift * normal()
        self.y_shift = shift * normal()

    def labels(self) -> Tensor:
        """Return the augmentation labels, (n, LABELS)."""
        columns = [self.x_flip, self.y_flip, self.scale, self.angle.cos() - 1, self.angle.sin()]
        columns += [self.stretch * self.axis.cos(), self.stretch * self.axis.sin()]
        return torch.stack([*columns, self.x_shift, self.y_shift], dim=1)

    def inverse(self) -> Tensor:
        """Return linear maps from the result's pixels to the source's, without flips, (n, 2, 2)."""
        scale = _SCALE**self.scale
        stretch = _STRETCH**self.stretch
        factors = torch.stack([1 / (scale * stretch), 1 / (scale / stretch)], 1)
        linear = _rotation(self.axis) @ torch.diag_embed(factors)
        return linear @ _rotation(-self.axis) @ _rotation(-self.angle)


def _rotation(angle: Tensor) -> Tensor:
    """Return rotations by `angle` (n,), shape (n, 2, 2)."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)


def geometric(
    x: Tensor,
    probability: float,
    generator: Generator | None = None,
    ends: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Mirror, flip, scale, rotate, stretch and shift images, and return augmentation labels.

    Each image is mirrored left to right with probability 1/2. Each of the other changes has the
    given `probability`: a flip upside down (in half of the cases), a scale by 2^(0.2 n), a rotation
    by any angle, a stretch by 2^(0.2 n) along any axis, a shift by n / 8 of the size; n ~ N(0, 1).
    Pixels outside the image are reflected. The labels are those of arXiv:2206.00364, table 6.
    Images are (B, C, H, W) in [-1, 1], or between `ends`, to which interpolation is clamped; labels
    (B, 9), all zeros for an unchanged image. Changes are drawn on the generator's device.

    Raises:
        ZooError: x holds no images.
    """
    if x.ndim != 4:
        raise ZooError(f"augmentation takes images (B, C, H, W), not shape {tuple(x.shape)}")
    changes = Changes(len(x), probability, generator)
    labels = changes.labels()
    size = torch.tensor([x.shape[3], x.shape[2]], dtype=torch.float32)  # width first, as in grids
    shift = torch.stack([changes.x_shift, changes.y_shift], dim=1).cpu()[:, :, None] * _SHIFT * 2
    inverse = changes.inverse().cpu()
    # Grids run from -1 to 1 in both directions; rotations are in pixels.
    linear = inverse * size[None, None, :] / size[None, :, None]
    theta = torch.cat([linear, -linear @ shift], dim=2).to(x)
    moved = labels[:, 2:].abs().sum(dim=1) > 0

    def where(chosen: Tensor, then: Tensor, other: Tensor) -> Tensor:
        return torch.where(chosen.to(x.device)[:, None, None, None], then, other)

    x = where(changes.x_flip > 0, x.flip(-1), x)
    x = where(changes.y_flip > 0, x.flip(-2), x)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    warped = F.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    warped = warped.clamp(-1, 1) if ends is None else warped.clamp(*ends)
    return where(moved, warped, x), labels.to(x)

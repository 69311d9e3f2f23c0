"""Two-dimensional distributions for examples and tests, drawn with a fixed seed: toy:NAME.

Vectors of shape (2,), float32, of order one. In two dimensions the exact field, the density and the
samples can be plotted.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from zoo.data.images import Images
from zoo.data.request import SPLITS, Request
from zoo.errors import ZooError, did_you_mean

COUNT = 10_000
NOISE = 0.03


def two_moons(n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Draw two interleaved half circles of radius 0.7: points (n, 2), which moon (n,)."""
    moon = torch.randint(2, (n,), generator=generator)
    angle = math.pi * torch.rand(n, generator=generator)
    side = 1.0 - 2.0 * moon
    arc = torch.stack([side * (angle.cos() - 0.5), side * (angle.sin() - 0.25)], dim=1)
    return 0.7 * arc + NOISE * torch.randn(n, 2, generator=generator), moon


def checkerboard(n: int, generator: Generator) -> tuple[Tensor, None]:
    """Draw uniformly from the 8 black cells of a 4x4 board on [-1, 1]^2."""
    row = torch.randint(4, (n,), generator=generator)
    column = 2 * torch.randint(2, (n,), generator=generator) + row % 2
    corner = torch.stack([column, row], dim=1)
    return (corner + torch.rand(n, 2, generator=generator)) / 2 - 1, None


def swiss_roll(n: int, generator: Generator) -> tuple[Tensor, None]:
    """Draw from a spiral of one and a half turns, radius 1/3 to 1."""
    angle = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=generator))
    roll = torch.stack([angle.cos(), angle.sin()], dim=1) * (angle / (4.5 * math.pi)).unsqueeze(1)
    return roll + NOISE * torch.randn(n, 2, generator=generator), None


TOYS: dict[str, Callable[[int, Generator], tuple[Tensor, Tensor | None]]] = {
    "checkerboard": checkerboard,
    "swiss-roll": swiss_roll,
    "two-moons": two_moons,
}


def load_toy(request: Request) -> Images:
    """Return 10,000 points of the named distribution; train and test have different seeds.

    Raises:
        ZooError: no such distribution.
    """
    name = request.argument
    if name not in TOYS:
        raise ZooError(f"{request.ref}: no such toy data; {did_you_mean(name, TOYS)}")
    generator = torch.Generator().manual_seed(SPLITS.index(request.split))
    points, labels = TOYS[name](COUNT, generator)
    classes = 0 if labels is None else int(labels.max()) + 1
    return Images(points, labels, classes, name, "CC0-1.0 (generated)", range=None)

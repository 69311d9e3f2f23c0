"""Distributions for examples and tests, drawn with a fixed seed: toy:NAME?OPTION=VALUE&...

Vectors of shape (2,), float32, of order one: in two dimensions the exact field, the density and the
samples can be plotted. Those with heavy tails (zoo.data.heavy) have up to 50 dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from zoo.data.heavy import LAWS
from zoo.data.images import Images
from zoo.data.request import SPLITS, Request
from zoo.errors import ZooError, did_you_mean

# Default, least and largest number of points.
COUNTS = {"n": (10_000, 10, 1_000_000)}
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
    """Return points of the named distribution, 10,000 or `n`; train and test have different seeds.

    Raises:
        ZooError: no such distribution, or an option that it has not, or that is out of range.
    """
    name, _, query = request.argument.partition("?")
    known = (*TOYS, *LAWS)
    if name not in known:
        raise ZooError(f"{request.ref}: no such toy data; {did_you_mean(name, known)}")
    law = LAWS.get(name)
    found = _options(request, query, {**COUNTS, **(law.options if law else {})})
    n, generator = int(found.pop("n")), torch.Generator().manual_seed(SPLITS.index(request.split))
    if law is None:
        points, labels = TOYS[name](n, generator)
    else:
        more = {key: int(v) if key == "d" else v for key, v in found.items()}
        points, labels = law.draw(n, generator, **more).float(), None
    classes = 0 if labels is None else int(labels.max()) + 1
    called = name if law is None else request.argument
    return Images(points, labels, classes, called, "CC0-1.0 (generated)", range=None)


def _options(
    request: Request, query: str, known: dict[str, tuple[float, float, float]]
) -> dict[str, float]:
    """Return the options written as "d=20&nu=3"; `known` are default, least and largest of each."""
    found = {name: default for name, (default, _, _) in known.items()}
    for part in query.split("&") if query else ():
        name, equals, text = part.partition("=")
        if name not in known:
            raise ZooError(f"{request.ref}: no option {name!r}; {did_you_mean(name, known)}")
        default, least, most = known[name]
        whole = isinstance(default, int)
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not (equals and least <= value <= most):
            kind = "a whole number" if whole else "a number"
            raise ZooError(
                f"{request.ref}: {name} = {text!r}; expected {kind} from {least:g} to {most:g}"
            )
        found[name] = value
    return found

"""Small data sets by name, to draw exact fields on: points of the line and of the plane."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.data import load
from zoo.data.toy import TOYS
from zoo.errors import ZooError, did_you_mean

THREE = "three-points"
PLANE = (THREE, *TOYS)
# Enough to see the law, few enough for an exact field that is quick.
COUNT = 200


def line_points() -> Tensor:
    """Return the sources of the (t, x) pictures: three points of the line, (3, 1), float64."""
    return torch.tensor([[-1.0], [0.4], [1.0]], dtype=torch.float64)


def plane_points(name: str) -> Tensor:
    """Return points of the plane, (N, 2), float64: a triangle, or 200 of a toy law.

    Raises:
        ZooError: no data set of that name.
    """
    if name == THREE:
        angle = math.pi * (0.5 + torch.arange(3, dtype=torch.float64) * 2 / 3)
        return torch.stack([angle.cos(), angle.sin()], dim=1)
    if name not in TOYS:
        raise ZooError(f"no data set {name!r} to plot; {did_you_mean(name, PLANE)}")
    return load(f"toy:{name}").images[:COUNT].double()

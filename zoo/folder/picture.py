"""Samples on disk: a grid of images, a scatter of points, or the numbers themselves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zoo.config.model import Data
from zoo.errors import ZooError
from zoo.files import check_place, replacing
from zoo.folder.columns import write_csv, write_parquet

_SMALLEST_TILE = 56


def grid(images: Tensor, columns: int | None = None) -> npt.NDArray[np.uint8]:
    """Return one picture, uint8 (rows H, columns W, 3), of images (n, C, H, W) in [-1, 1].

    Small images are enlarged by a whole factor, so that a person can see them.

    Raises:
        ZooError: neither 1 nor 3 channels.
    """
    n, channels, height, width = images.shape
    if channels not in (1, 3):
        raise ZooError(f"a picture needs 1 or 3 channels, not {channels}; write an .npz file")
    columns = columns or math.ceil(math.sqrt(n))
    rows, scale = -(-n // columns), max(1, _SMALLEST_TILE // max(height, width))
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().expand(n, 3, height, width)
    canvas = np.full((rows * columns, height + 1, width + 1, 3), 255, dtype=np.uint8)
    canvas[:n, :height, :width] = pixels.permute(0, 2, 3, 1).cpu().numpy()
    tiles = canvas.reshape(rows, columns, height + 1, width + 1, 3).transpose(0, 2, 1, 3, 4)
    sheet = tiles.reshape(rows * (height + 1), columns * (width + 1), 3)[:-1, :-1]
    return sheet.repeat(scale, axis=0).repeat(scale, axis=1)


def points_window(points: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """Return the centre (2,) and half widths (2,) of a window on points (n, 2), float64.

    The centre is the median; half widths are `factor` times the distance of 99 % of the points.
    """
    wide = points.double()
    centre = wide.median(dim=0).values
    far = torch.from_numpy(np.quantile((wide - centre).abs().numpy(), 0.99, axis=0))
    return centre, factor * torch.where(far > 0, far, float(far.max()) or 1.0)


# Side of a picture of points, radius of a point, its colour and opacity.
_SIDE, _DOT, _INK, _OPACITY = 480, 3.2, (58, 75, 216), 0.65


def points_picture(points: Tensor, centre: Tensor, half: Tensor) -> npt.NDArray[np.uint8]:
    """Return one picture, uint8 (side, side, 3), of points (n, 2) within `half` of `centre`.

    Points that lie further out are drawn at the edge, towards where they are.
    """
    place = (points.double() - centre) / half
    far = place.abs().amax(dim=1, keepdim=True).clamp(min=1)
    place = (place / far * torch.where(far > 1, 0.98, 1.0) + 1) * (_SIDE - 1) / 2
    rows = torch.arange(_SIDE, dtype=torch.float64)
    white = torch.ones(_SIDE, _SIDE, dtype=torch.float64)
    reach = int(_DOT) + 2
    for x, y in place.tolist():
        row, column = _SIDE - 1 - y, x
        top, left = (max(0, int(v) - reach) for v in (row, column))
        high = (rows[top : int(row) + reach + 2] - row).square()[:, None]
        wide = (rows[left : int(column) + reach + 2] - column).square()
        ink = (_DOT + 0.5 - (high + wide).sqrt()).clamp(0, 1) * _OPACITY
        white[top : top + ink.shape[0], left : left + ink.shape[1]] *= 1 - ink
    ink_colour = torch.tensor(_INK, dtype=torch.float64)
    picture = ink_colour + white[..., None] * (255 - ink_colour)
    found: npt.NDArray[np.uint8] = picture.round().byte().numpy()
    return found


def drawable(shape: tuple[int, ...]) -> bool:
    """Return whether samples of this shape have a picture: grey or colour images, points."""
    return shape == (2,) or (len(shape) == 3 and shape[0] in (1, 3))


def default_suffix(shape: tuple[int, ...], *, table: bool = False) -> str:
    """Return ".csv" for rows of a table, ".png" for what can be shown, ".npz" for the rest."""
    return ".csv" if table else ".png" if drawable(shape) else ".npz"


def check_target(path: Path, shape: tuple[int, ...]) -> None:
    """Raise ZooError unless samples of this shape can be written to `path`; before drawing any."""
    rows = len(shape) == 1
    draws = {".npz": True, ".png": drawable(shape), ".csv": rows, ".parquet": rows}
    if not draws.get(path.suffix, False):
        *others, last = (suffix for suffix, possible in draws.items() if possible)
        fits = f"{', '.join(others)} or {last}" if others else last
        raise ZooError(f"{path}: samples of shape {shape} are written to a file ending in {fits}")
    check_place(path)


def write_samples(path: Path, samples: Tensor, data: Data | None = None) -> None:
    """Write samples (n, *shape) as .png (images, points of the plane), .csv, .parquet or .npz.

    `data` says which columns rows have: an .npz ("samples") gets their names as "columns".

    Raises:
        ZooError: another ending, data that has no picture, or a disk that refuses.
    """
    shape = tuple(samples.shape[1:])
    check_target(path, shape)
    data = data or Data(shape)
    if path.suffix == ".csv":
        write_csv(path, samples, data)
        return
    if path.suffix == ".parquet":
        write_parquet(path, samples, data)
        return
    with replacing(path) as beside:
        if path.suffix == ".npz":
            arrays: dict[str, Any] = {"samples": samples.numpy()}
            if data.columns:
                arrays["columns"] = np.array([str(c.name) for c in data.columns])
            with beside.open("wb") as file:
                np.savez_compressed(file, **arrays)
        elif len(shape) == 3:
            from PIL import Image

            Image.fromarray(grid(samples)).save(beside, format="PNG")
        else:
            from matplotlib.figure import Figure

            figure = Figure(figsize=(5, 5), layout="constrained")
            axes = figure.add_subplot(aspect="equal")
            axes.scatter(samples[:, 0].numpy(), samples[:, 1].numpy(), s=4, alpha=0.6, linewidths=0)
            figure.savefig(beside, format="png", dpi=150)

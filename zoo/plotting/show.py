"""zoo.show: samples as a picture, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from zoo.errors import ZooError, brief
from zoo.folder.picture import drawable, grid, points_picture, points_window
from zoo.interfaces.checks import check_integer

if TYPE_CHECKING:
    from PIL.Image import Image

# Points are seen in a window this many times as large as most of them.
_WINDOW = 1.25


def show(samples: Any, *, columns: int | None = None) -> Image:
    """Return samples as one picture, which a notebook shows where it is the value of a cell.

    It is a picture of Pillow: `.save("grid.png")` writes it, `.show()` opens a window.

    Args:
        samples: images (n, C, H, W) or one (C, H, W), C 1 or 3, in [-1, 1]; or points (n, 2). A
            tensor, or what becomes one; points are seen around their median.
        columns: images in a row; by default as many as rows.

    Raises:
        ZooError: samples of another shape, or not finite.
    """
    from PIL import Image

    try:
        x = torch.as_tensor(samples).detach().cpu().float()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ZooError(
            f"samples is {brief(samples)}; expected images (n, C, H, W) or points (n, 2)"
        ) from error
    x = x[None] if x.ndim == 3 else x
    if x.ndim < 2 or not len(x) or not drawable(tuple(x.shape[1:])) or not bool(x.isfinite().all()):
        raise ZooError(
            f"samples have shape {tuple(x.shape)}; expected finite images (n, C, H, W) of 1 or 3 "
            "channels, or points (n, 2)"
        )
    if x.ndim == 2:
        return Image.fromarray(points_picture(x, *points_window(x, _WINDOW)))
    wide = None if columns is None else check_integer("columns", columns, 1)
    return Image.fromarray(grid(x, columns=wide))

"""Walks as animations: what `zoo sample --film` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from zoo.errors import ZooError
from zoo.files import check_place, replacing
from zoo.folder.picture import drawable, grid, points_picture, points_window
from zoo.models.trajectory import Trajectory

SUFFIXES = {".gif": "GIF", ".webp": "WEBP"}
# Milliseconds: of the whole walk, however many steps it has, of the shortest frame, and of the end.
_WALK, _LEAST, _END = 3000, 40, 1800
# Points are seen in a window this many times as large as their data.
_WINDOW = 1.6

Frame = npt.NDArray[np.uint8]


def check_film(path: Path, shape: tuple[int, ...]) -> None:
    """Raise ZooError unless a film of samples of this shape can be written; before drawing any."""
    if path.suffix.lower() not in SUFFIXES:
        raise ZooError(f"{path}: a film is written to a file ending in .gif or .webp")
    if not drawable(shape):
        raise ZooError(
            f"{path}: samples of shape {shape} have no picture; a film shows images of 1 or 3 "
            "channels, or points of the plane"
        )
    check_place(path)


def write_film(path: Path, walk: Trajectory) -> None:
    """Write the states x_t of a walk as an animation that goes on for ever, .gif or .webp.

    States that are larger than data are made as large as data, so that noise shows as noise.

    Raises:
        ZooError: another ending, samples without a picture, or a disk that refuses.
    """
    check_film(path, tuple(walk.samples.shape[1:]))
    pictures = [Image.fromarray(frame) for frame in frames(walk)]
    each = max(_LEAST, _WALK // len(pictures))
    options = {"lossless": True} if path.suffix.lower() == ".webp" else {}
    with replacing(path) as beside:
        pictures[0].save(
            beside,
            format=SUFFIXES[path.suffix.lower()],
            save_all=True,
            append_images=pictures[1:],
            duration=[each] * (len(pictures) - 1) + [_END],
            loop=0,
            **options,
        )


def frames(walk: Trajectory) -> list[Frame]:
    """Return a picture, uint8 (H, W, 3), of every state of a walk; the last are the samples."""
    if walk.samples.ndim == 2:
        window = points_window(walk.samples, _WINDOW)
        return [points_picture(x, *window) for x in walk.x]
    ends = walk.samples.double()
    typical = ends.flatten(1).square().mean(dim=1).sqrt().clamp(min=1e-3)
    sizes = (walk.rms / typical).clamp(min=1)[:, :, None, None, None]
    return [grid(x.float()) for x in walk.x / sizes]

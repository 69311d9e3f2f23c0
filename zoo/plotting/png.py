"""Figures on disk: small PNG files, whole or not at all."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from zoo.errors import ZooError
from zoo.files import check_place, replacing

# Root mean square change, of 255, up to which a picture may be written with a palette.
_UNSEEN = 3.0
_SMALL = 140_000


def check_png(path: Path) -> None:
    """Raise ZooError unless a picture can be written to `path`; before drawing any."""
    if path.suffix != ".png":
        raise ZooError(f"{path}: pictures are written to a file ending in .png")
    check_place(path)


def rendered(figure: Figure) -> Image.Image:
    """Return what the figure looks like, in RGB."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    return Image.open(buffer).convert("RGB")


def encoded(picture: Image.Image) -> bytes:
    """Return a picture as PNG: with a palette, a third of the size, where nobody would see it.

    Of 256 colours, or of fewer where the file would be large. Photographs keep their own.
    """
    best = _png(picture)
    for colours in (256, 128, 64):
        few = picture.quantize(colours, kmeans=2, dither=Image.Dither.NONE)
        change = np.asarray(few.convert("RGB"), dtype=float) - np.asarray(picture, dtype=float)
        if float(np.sqrt(np.square(change).mean())) > _UNSEEN:
            break
        best = _png(few)
        if len(best) <= _SMALL:
            break
    return best


def _png(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure as a small PNG file, whole or not at all.

    Raises:
        ZooError: another ending, no such folder, or a disk that refuses.
    """
    check_png(path)
    content = encoded(rendered(figure))
    with replacing(path) as temporary:
        temporary.write_bytes(content)

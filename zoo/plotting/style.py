"""Figures: one style for all, with colours that the colour-blind can distinguish; small PNG files.

Figures are matplotlib.figure.Figure, never pyplot's: no global state, no window.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from zoo.errors import ZooError
from zoo.files import check_place, replacing

# Okabe and Ito's palette without yellow, which vanishes on white; black last.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#222222")
INK, QUIET, FAINT = "#222222", "#6b6b6b", "#b8b8b8"
# White to a warm grey: strong enough to see, weak enough to draw on.
MIST = LinearSegmentedColormap.from_list("mist", ["#ffffff", "#f3f1ed", "#e3dfd7", "#d2ccc1"])
# For times, noise dark and data bright: viridis without its yellow end.
TIMES = LinearSegmentedColormap.from_list("times", ["#56b87a", "#21908d", "#31688e", "#440154"])
DPI = 150
# Root mean square change, of 255, up to which a picture may be written with a palette.
_UNSEEN = 3.0
_SMALL = 140_000


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches, 150 dots each."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def tidy(axes: Axes, title: str, x: str, y: str) -> None:
    """Give axes their title and labels; leave them two spines and small grey ticks."""
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(which="both", labelsize=8, colors=QUIET, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each of up to eight names, in their order."""
    return dict(zip(names, PALETTE, strict=False))


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

"""Figures on disk: small PNG files, whole or not at all."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from zoo.errors import ZooError

# Root mean square change, of 255, up to which a picture may be written with a palette.
_UNSEEN = 3.0


def check_png(path: Path) -> None:
    """Raise ZooError unless a picture can be written to `path`; before drawing any."""
    if path.suffix != ".png":
        raise ZooError(f"{path}: pictures are written to a file ending in .png")
    if path.is_dir():
        raise ZooError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise ZooError(f"{path}: there is no folder {path.parent}")


def rendered(figure: Figure) -> Image.Image:
    """Return what the figure looks like, in RGB."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    return Image.open(buffer).convert("RGB")


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file: beside first, then renamed.

    Its colours become a palette of 256, a third of the size, where nobody would see it: not for
    photographs.

    Raises:
        ZooError: another ending, no such folder, or a disk that refuses.
    """
    check_png(path)
    whole = rendered(figure)
    few = whole.quantize(256, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
    change = np.asarray(few.convert("RGB"), dtype=float) - np.asarray(whole, dtype=float)
    picture = few if float(np.sqrt(np.square(change).mean())) < _UNSEEN else whole
    beside = path.with_name(f".{path.name}.part")
    try:
        picture.save(beside, format="PNG", optimize=True)
        beside.replace(path)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)

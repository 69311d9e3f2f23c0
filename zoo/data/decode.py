"""Image files, wherever their bytes are, as one tensor of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from zoo.errors import ZooError, one_line

GREY = frozenset({"1", "L", "LA", "La"})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})


class ImageFile(Protocol):
    """A file of an image.

    Attributes:
        name: what errors call it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    def open(self) -> BinaryIO | Path:
        """Return its bytes, as a stream or where they lie."""


@contextmanager
def opened(file: ImageFile) -> Iterator[Image.Image]:
    """Open an image file; whatever goes wrong with it is an error that names it."""
    try:
        with Image.open(file.open()) as image:
            if image.mode not in GREY | COLOUR:
                raise ZooError(
                    f"{file.name}: pixels of mode {image.mode}; expected 8 bits per channel"
                )
            yield image
    except ZooError:
        raise
    except Exception as error:  # decoders of broken files raise nearly anything
        reason = one_line(error) or type(error).__name__
        raise ZooError(f"{file.name}: not a readable image: {reason}") from error


def _is_grey(file: ImageFile) -> bool:
    with opened(file) as image:
        return image.mode in GREY


def _decode(file: ImageFile, mode: str, size: int | None) -> Tensor:
    """Return the pixels of a file, uint8, (C, H, W)."""
    with opened(file) as image:
        upright = ImageOps.exif_transpose(image)
        upright.info.pop("transparency", None)  # else Pillow warns that it is dropped
        upright = upright.convert(mode)
    if size is not None:
        upright = ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(upright))
    return pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def decode_all(files: Sequence[ImageFile], size: int | None) -> Tensor:
    """Return the images, uint8, (N, 1, H, W) if all are grey, else (N, 3, H, W).

    Args:
        files: at least one.
        size: scale (Lanczos) and crop each to size x size; None keeps them as they are.

    Raises:
        ZooError: an unreadable one, or images of different sizes without `size`.
    """
    # Threads: decoding releases the interpreter's lock.
    with ThreadPoolExecutor() as pool:
        mode = "L" if all(pool.map(_is_grey, files)) else "RGB"
        first = _decode(files[0], mode, size)
        out = torch.empty((len(files), *first.shape), dtype=torch.uint8)

        def read(i: int) -> None:
            pixels = _decode(files[i], mode, size)
            if pixels.shape != first.shape:
                (h, w), (height, width) = pixels.shape[1:], first.shape[1:]
                raise ZooError(
                    f"{files[i].name} is {w}x{h} and {files[0].name} {width}x{height}; give a "
                    "size, to which every image is scaled and cropped"
                )
            out[i] = pixels

        done = pool.map(read, range(len(files)))
        for _ in tqdm(done, total=len(files), desc="reading images", disable=None, leave=False):
            pass
    return out

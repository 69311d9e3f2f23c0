"""Decoding of image files into one tensor of bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from zoo.errors import ZooError, one_line
from zoo.files import refuse_pointer
from zoo.sampling.progress import bar

GREY = frozenset({"1", "L", "LA", "La"})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})


# An image that is still encoded: what errors call it, and where it lies or the bytes of the file.
ImageFile = tuple[str, Path | bytes]


@contextmanager
def opened(file: ImageFile) -> Iterator[Image.Image]:
    """Open an image file; every failure is a ZooError that names it."""
    name, source = file
    most = Image.MAX_IMAGE_PIXELS
    try:
        if isinstance(source, Path):
            refuse_pointer(source)
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if most is not None and image.width * image.height > most:
                raise Image.DecompressionBombError
            if image.mode not in GREY | COLOUR:
                raise ZooError(f"{name}: pixels of mode {image.mode}; expected 8 bits per channel")
            yield image
    except ZooError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ZooError(f"{name}: more than {most:,} pixels; scale it down first") from error
    except Exception as error:  # decoders of broken files raise nearly anything
        raise ZooError(f"{name}: not a readable image: {one_line(error)}") from error


def _is_grey(file: ImageFile) -> bool:
    with opened(file) as image:
        return image.mode in GREY


def _decode(file: ImageFile, mode: str, size: int | None) -> Tensor:
    """Return the pixels of a file, uint8, (C, H, W)."""
    with opened(file) as image:
        upright = ImageOps.exif_transpose(image)
        upright.info.pop("transparency", None)  # otherwise Pillow warns that it is dropped
        upright = upright.convert(mode)
    if size is not None:
        upright = ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(upright))
    return pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def decode_as(path: Path, channels: int) -> Tensor:
    """Return the image in a file, uint8, (channels, H, W), grey or in colour.

    Raises:
        ZooError: it is no readable image, or some of it is transparent.
    """
    with opened((str(path), path)) as image:
        see_through = "A" in image.getbands() or "transparency" in image.info
        if see_through and np.array(image.convert("RGBA"))[..., 3].min() < 255:
            raise ZooError(f"{path}: pixels are transparent, which has no value here; flatten it")
    return _decode((str(path), path), "L" if channels == 1 else "RGB", None)


def decode_all(files: Sequence[ImageFile], size: int | None) -> Tensor:
    """Return the images, uint8, (N, 1, H, W) if all are grey, else (N, 3, H, W).

    There is at least one. Each is scaled (Lanczos) and cropped to size x size, if that is given.

    Raises:
        ZooError: an unreadable image, or images of different sizes without `size`.
    """
    # Threads: decoding releases the GIL.
    with ThreadPoolExecutor() as pool:
        mode = "L" if all(pool.map(_is_grey, files)) else "RGB"
        first = _decode(files[0], mode, size)
        out = torch.empty((len(files), *first.shape), dtype=torch.uint8)

        def read(i: int) -> None:
            pixels = _decode(files[i], mode, size)
            if pixels.shape != first.shape:
                h, w = pixels.shape[1:]
                height, width = first.shape[1:]
                raise ZooError(
                    f"{files[i][0]} is {w}x{h} and {files[0][0]} {width}x{height}; give a "
                    "size, to which every image is scaled and cropped"
                )
            out[i] = pixels

        done = pool.map(read, range(len(files)))
        for _ in bar(done, total=len(files), desc="reading images", leave=False):
            pass
    return out

"""A folder of image files: folder:PATH, where subfolders are classes in alphabetical order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from zoo.data.images import Images
from zoo.data.request import SPLITS, Request
from zoo.errors import ZooError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
GREY = frozenset({"1", "L", "LA", "La"})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise ZooError(f"{folder}: cannot be read: {error.strerror}") from error


def _files(folder: Path) -> list[Path]:
    """Return the image files directly in `folder`, in alphabetical order."""
    return [p for p in _visible(folder) if p.suffix.lower() in SUFFIXES and p.is_file()]


def _list(folder: Path) -> tuple[list[Path], list[int], int]:
    """Return the image files in `folder`, their classes, and the number of classes.

    Raises:
        ZooError: there are none, or both images and subfolders of images.
    """
    flat = _files(folder)
    classes = [files for p in _visible(folder) if p.is_dir() and (files := _files(p))]
    if flat and classes:
        raise ZooError(
            f"{folder}: holds images beside subfolders of images; put each image into the "
            "subfolder of its class, or all into one folder"
        )
    if not flat and not classes:
        raise ZooError(f"{folder}: no image files in it ({', '.join(SUFFIXES)})")
    labels = [label for label, files in enumerate(classes) for _ in files]
    return flat or [p for files in classes for p in files], labels, len(classes)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open the image file `path`; whatever goes wrong with it is an error that names it."""
    try:
        with Image.open(path) as image:
            if image.mode not in GREY | COLOUR:
                raise ZooError(f"{path}: pixels of mode {image.mode}; expected 8 bits per channel")
            yield image
    except ZooError:
        raise
    except Exception as error:  # decoders of broken files raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ZooError(f"{path}: not a readable image: {reason}") from error


def _is_grey(path: Path) -> bool:
    with _opened(path) as image:
        return image.mode in GREY


def _decode(path: Path, mode: str, size: int | None) -> Tensor:
    """Return the pixels of the file `path`, uint8, (C, H, W)."""
    with _opened(path) as image:
        upright = ImageOps.exif_transpose(image).convert(mode)
    if size is not None:
        upright = ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(upright))
    return pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def _decode_all(files: list[Path], size: int | None) -> Tensor:
    """Return the images, uint8, (N, 1, H, W) if all are grey, else (N, 3, H, W).

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
                    f"{files[i]} is {w}x{h} and {files[0].name} {width}x{height}; give a size, "
                    "to which every image is scaled and cropped"
                )
            out[i] = pixels

        done = pool.map(read, range(len(files)))
        for _ in tqdm(done, total=len(files), desc="reading images", disable=None, leave=False):
            pass
    return out


def load_folder(request: Request) -> Images:
    """Return the images in a folder, of one size, 8 bits per channel.

    Images directly in the folder have no labels; those in subfolders are labelled by subfolder.
    Where the folder holds `train` and `test`, they are the splits. With `size` each image is
    scaled (Lanczos) and its centre cropped. Grey stays grey if every image is; transparency is
    dropped. Files of other kinds and hidden files are passed over.

    Raises:
        ZooError: no such folder, no images, an unreadable one, or sizes that differ.
    """
    root = request.path
    if not root.is_dir():
        raise request.missing("folder")
    split = all((root / name).is_dir() for name in SPLITS)
    if not split:
        request.only_train()
    files, labels, classes = _list(root / request.split if split else root)
    return Images(
        _decode_all(files, request.size),
        torch.tensor(labels) if classes else None,
        classes,
        name=root.resolve().name,
        licence="not stated by the files",
    )

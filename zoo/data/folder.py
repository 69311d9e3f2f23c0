"""A folder of image files: folder:PATH, where subfolders are classes in alphabetical order."""

from __future__ import annotations

from pathlib import Path

import torch

from zoo.data.decode import decode_all
from zoo.data.images import Images
from zoo.data.request import SPLITS, Request
from zoo.errors import ZooError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise ZooError(f"{folder}: cannot be read: {error.strerror}") from error


def _files(folder: Path) -> list[Path]:
    return [p for p in _visible(folder) if p.suffix.lower() in SUFFIXES and p.is_file()]


def _list(folder: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """Return the image files directly in `folder`, and those of each subfolder.

    Raises:
        ZooError: there are no images, or images both in the folder and in subfolders.
    """
    flat = _files(folder)
    classes = {p.name: files for p in _visible(folder) if p.is_dir() and (files := _files(p))}
    if flat and classes:
        raise ZooError(
            f"{folder}: holds images and subfolders of images; put each image into the "
            "subfolder of its class, or all into one folder"
        )
    if not flat and not classes:
        raise ZooError(f"{folder}: no image files in it ({', '.join(SUFFIXES)})")
    return flat, classes


def load_folder(request: Request) -> Images:
    """Return the images in a folder, of one size, 8 bits per channel.

    Images directly in the folder have no labels; those in subfolders are labelled by subfolder.
    Subfolders `train` and `test`, if both exist, are the splits; the classes are those of `train`.
    With `size`, each image is scaled (Lanczos) and its centre cropped. Images stay grey if all of
    them are grey. Transparency and later frames of animations are dropped. Other files and hidden
    files are ignored.

    Raises:
        ZooError: no such folder, no images, an unreadable image, different sizes, or a class that
            only the test split has.
    """
    root = request.path
    if not root.is_dir():
        raise request.missing("folder")
    split = all((root / name).is_dir() for name in SPLITS)
    if not split:
        request.only_train()
    folder = root / request.split if split else root
    flat, found = _list(folder)
    names = [*found]
    if request.split == "test":
        names = [*_list(root / "train")[1]]
        if unknown := sorted({*found} - {*names}):
            raise ZooError(
                f"{folder}: holds the classes {', '.join(unknown)}, which the train folder "
                "does not; give both the same subfolders"
            )
    if odd := [name for name in names if not name.isprintable()]:
        raise ZooError(f"{folder}: the class {odd[0]!r} has no printable name; rename its folder")
    labels = [names.index(name) for name, files in found.items() for _ in files]
    files = flat or [path for files in found.values() for path in files]
    return Images(
        decode_all([(str(path), path) for path in files], request.size),
        torch.tensor(labels) if found else None,
        len(names) if found else 0,
        name=root.resolve().name,
        licence="not stated by the files",
        class_names=tuple(names) if found else (),
    )

"""A folder of image files: folder:PATH, where subfolders are classes in alphabetical order."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from zoo.data.decode import decode_all
from zoo.data.images import Images
from zoo.data.request import Request
from zoo.errors import ZooError, ZooWarning

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# What folders of a split are called, in any case; of several that are there the first is taken.
SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "valid", "validation", "dev", "eval"),
}


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise ZooError(f"{folder}: cannot be read: {error.strerror}") from error


def _files(folder: Path) -> list[Path]:
    return [p for p in _visible(folder) if p.suffix.lower() in SUFFIXES and p.is_file()]


def _all_files(folder: Path, above: frozenset[Path] | None = None) -> Iterator[Path]:
    """Yield the image files in `folder` and, after them, those of its subfolders at any depth.

    A link to a folder that it lies in is not followed.
    """
    place, parent = folder.resolve(), folder.parent.resolve()
    above = frozenset((parent, *parent.parents)) if above is None else above
    if place in above:
        return
    yield from _files(folder)
    for inner in _visible(folder):
        if inner.is_dir():
            yield from _all_files(inner, above | {place})


def _splits(root: Path) -> dict[str, Path]:
    """Return the folders of the splits; none where `train` is one of several classes.

    Images beside `train` and `test` are left out, with a warning.
    """
    there = {p.name.lower(): p for p in _visible(root) if p.is_dir()}
    found = {
        split: there[name]
        for split, names in SPLIT_FOLDERS.items()
        for name in reversed(names)
        if name in there
    }
    if "train" not in found:
        return {}
    known = {name for names in SPLIT_FOLDERS.values() for name in names}
    others = (file for name, p in there.items() if name not in known for file in _all_files(p))
    left = next(iter(_files(root)), None) or next(others, None)
    if left is None:
        return found
    if "test" not in found:
        return {}
    warnings.warn(
        f"{left}: lies beside the splits {found['train'].name}/ and {found['test'].name}/, and is "
        "left out, as all that does",
        ZooWarning,
        stacklevel=4,
    )
    return found


def _list(folder: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """Return the image files directly in `folder`, and those below each subfolder.

    Raises:
        ZooError: there are no images, or images both in the folder and in subfolders.
    """
    flat = _files(folder)
    inside = {p.name: [*_all_files(p)] for p in _visible(folder) if p.is_dir()}
    classes = {name: files for name, files in inside.items() if files}
    if flat and classes:
        first = next(iter(classes.values()))[0]
        raise ZooError(
            f"{folder}: holds images and subfolders of images, {flat[0].name} and {first}; "
            "put each image into the subfolder of its class, or all into one folder"
        )
    if not flat and not classes:
        raise ZooError(f"{folder}: no image files in it ({', '.join(SUFFIXES)})")
    return flat, classes


def load_folder(request: Request) -> Images:
    """Return the images in a folder, of one size, 8 bits per channel.

    Images directly in the folder have no labels; those in subfolders, at any depth, are labelled
    by the subfolder. A subfolder `train` (or `training`), alone or with `test`, `val`, ..., is the
    training split; "test" is the first of SPLIT_FOLDERS that is there, with the classes of `train`.
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
    splits = _splits(root)
    if request.split not in splits:
        request.only_train()
    folder = splits.get(request.split, root)
    flat, found = _list(folder)
    names = [*found]
    if request.split == "test":
        names = [*_list(splits["train"])[1]]
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
        license="not stated by the files",
        class_names=tuple(names) if found else (),
    )

"""Data by reference: "digits", "fashion-mnist", "folder:PATH", "npz:PATH", ..."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from zoo.data.condition import by_rule, is_rule
from zoo.data.folder import SUFFIXES as IMAGE_SUFFIXES
from zoo.data.folder import load_folder
from zoo.data.hub import load_hub
from zoo.data.idx import load_idx
from zoo.data.images import Images, resize
from zoo.data.named import load_cifar10, load_digits, load_fashion_mnist
from zoo.data.npz import load_npz
from zoo.data.request import SPLITS, Request
from zoo.data.size import warn_of_range
from zoo.data.toy import load_toy
from zoo.errors import ZooError, did_you_mean, shown
from zoo.files import as_path

MAX_SIZE = 4096


# Name -> (loader, the argument after the colon, "" for none).
SOURCES: dict[str, tuple[Callable[[Request], Images], str]] = {
    "cifar10": (load_cifar10, ""),
    "digits": (load_digits, ""),
    "fashion-mnist": (load_fashion_mnist, ""),
    "folder": (load_folder, "PATH"),
    "hf": (load_hub, "OWNER/NAME"),
    "idx": (load_idx, "PATH"),
    "npz": (load_npz, "PATH"),
    "toy": (load_toy, "NAME"),
}


def _unknown(ref: str, scheme: str) -> ZooError:
    path = as_path(ref, f"data {ref!r}")
    if ref and path.exists():
        kind = "folder" if path.is_dir() else "npz" if path.suffix == ".npz" else "idx"
        meant = f"folder:{path.parent}" if path.suffix in IMAGE_SUFFIXES else f"{kind}:{ref}"
        return ZooError(f"data {ref!r} does not say what it is; did you mean {meant!r}?")
    return ZooError(f"data {ref!r}: no such source; {did_you_mean(scheme, SOURCES)}")


def load(
    ref: str, *, split: str = "train", size: int | None = None, condition: str | None = None
) -> Images:
    """Return the data set that `ref` names; warn of images that use a small part of their range.

    Args:
        ref: "cifar10", "digits", "fashion-mnist", "folder:PATH", "hf:OWNER/NAME", "idx:PATH",
            "npz:PATH" or "toy:NAME".
        split: "train" or "test".
        size: scale and crop images to size x size; None keeps their size.
        condition: name of an array of an npz: file, or a rule of images, "downscale:2"; None for
            none.

    Raises:
        ZooError: an unknown source, split, size or condition; absent or broken files; values that
            are not finite.
    """
    scheme, colon, argument = ref.partition(":")
    if scheme not in SOURCES:
        raise _unknown(ref, scheme)
    load_source, expected = SOURCES[scheme]
    if bool(argument) != bool(expected) or (colon and not argument):
        spelling = f"{scheme}:{expected}" if expected else scheme
        raise ZooError(f"data {ref!r}: expected {spelling}")
    if split not in SPLITS:
        raise ZooError(f"split {split!r}: no such split; {did_you_mean(split, SPLITS)}")
    if size is not None and not 1 <= size <= MAX_SIZE:
        raise ZooError(f"size = {size}: expected 1 to {MAX_SIZE} pixels")
    named = None if condition is None or is_rule(condition) else condition
    if named is not None and scheme != "npz":
        raise ZooError(
            f"data {ref!r}: condition = {shown(named, 60)!r} would be an array of an npz: file; of "
            "images there are rules, such as downscale:2"
        )
    data = load_source(Request(ref, argument, split, size, named))
    # Of a file of images only 0 and 1 are suspicious: the format says what 255 means.
    warn_of_range(data, ref, *(() if scheme in ("idx", "npz") else (1,)))
    data = data if size is None else resize(data, size)
    if condition is None or named is not None:
        return data
    return replace(data, given=by_rule(condition, data.shape))

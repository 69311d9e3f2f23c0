"""Data sets with a name of their own: from files on this machine, else from the Hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from platformdirs import user_cache_dir

from zoo.data.hub import load_hub
from zoo.data.images import Images
from zoo.data.request import Request
from zoo.errors import ZooError

VARIABLE = "ZOO_DATA"


def _folders(name: str) -> list[Path]:
    """Return the folders in which the data set `name` may lie: in $ZOO_DATA, the user's cache."""
    chosen = os.environ.get(VARIABLE)
    found = [Path(chosen).expanduser()] if chosen else []
    return [folder / name for folder in (*found, Path(user_cache_dir("zoo")) / "data")]


def load_named(
    request: Request,
    name: str,
    *,
    read: Callable[[Path, str], Images | None],
    files: str,
    hub: str,
    licence: str,
) -> Images:
    """Return a split of a data set, under its name and licence.

    Args:
        request: for the split.
        name: of the data set, and of the folder of its files.
        read: returns a split from the files in a folder, None if they are not there.
        files: what the user has to put there, for the error.
        hub: the argument of "hf:" where the Hub has it.
        licence: of the data, in words.

    Raises:
        ZooError: the files are broken, or neither they nor the Hub are at hand (says what to do).
    """
    folders = _folders(name)
    for folder in folders:
        if (found := read(folder, request.split)) is not None:
            return replace(found, name=name, licence=licence)
    try:
        found = load_hub(Request(f"hf:{hub}", hub, request.split, request.size))
    except ZooError as error:
        raise ZooError(
            f"{name}: not found in {' or '.join(map(str, folders))}; put {files} into "
            f"{folders[0]}, or set {VARIABLE} to the folder that holds {name}/; or let it come "
            f"from the Hub: {error}"
        ) from error
    return replace(found, name=name, licence=licence)

"""The repositories in the Hub's cache on this disk, found without the client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_FOLDER = "models--"


def cache() -> Path:
    """Return where the client keeps repositories, by its environment variables."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := os.environ.get(name):
            return Path(chosen).expanduser()
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface"
    return Path(os.environ.get("HF_HOME") or home).expanduser() / "hub"


def cached_folders() -> Iterator[tuple[str, Path]]:
    """Yield ("owner/name", folder of the commit that main was the last time) by name."""
    try:
        found = sorted(cache().glob(f"{_FOLDER}*--*"))
    except (OSError, RuntimeError, ValueError):
        return
    for place in found:
        try:
            commit = (place / "refs" / "main").read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        folder = place / "snapshots" / commit
        if commit.isalnum() and folder.is_dir():
            yield place.name.removeprefix(_FOLDER).replace("--", "/", 1), folder

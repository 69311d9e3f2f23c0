"""Checking a model on this disk once more, whatever was found when it arrived."""

from __future__ import annotations

from pathlib import Path

from zoo.config.model import WeightFile
from zoo.folder.read import read_config, verify_file
from zoo.hub import Access
from zoo.models.locate import folder_of, resolve, weight_paths


def verify(ref: str, *, cache_dir: str | Path | None = None) -> dict[Path, WeightFile]:
    """Return the weight files of a model on this disk, their sha256 computed anew.

    Args:
        ref: a zoo name, a Hub id whose files are in the cache, or a folder.
        cache_dir: the Hub cache, None for $HF_HOME's.

    Raises:
        ZooError: not on this disk.
        DamagedFile: a file is not what config.json says; it will not be loaded either.
    """
    access = Access(cache_dir=cache_dir, local_files_only=True)
    folder = folder_of(ref, access=access)
    home, config = resolve(folder, read_config(folder), access)
    paths = weight_paths(home, config.weights, access)
    files = dict(zip(paths, config.weights.files.values(), strict=True))
    for path, expected in files.items():
        verify_file(path, expected)
    return files

"""The package datasets, asked so that it writes no bars into files and waits for no silent Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.hub.client import Unreachable, bars_on_terminals_only, connect, connection_failed


def fetch(path: str, config: str | None, split: str) -> Any:
    """Return a split of a data set, a `datasets.Dataset`; of the Hub's, as on this disk if it is.

    A Hub that does not answer one question is not asked another: by itself, the client asks six
    times over half a minute, and writes a line about each.

    Args:
        path: OWNER/NAME on the Hub, or a local folder.
        config: of its configurations, None for its only or default one.
        split: its name.

    Raises:
        Unreachable: the Hub does not answer, and the data set is not on this disk.
        Exception: whatever `datasets` raises.
    """
    import datasets

    with bars_on_terminals_only(), bars_on_terminals_only(datasets):
        if not Path(path).exists() and (reason := _connection_failure(path)):
            return _cached(path, config, split, reason)
        return datasets.load_dataset(path, config, split=split)


def _connection_failure(path: str) -> str:
    """Return why the Hub does not answer; "" where it does, be it with an error."""
    try:
        connect().dataset_info(path, timeout=10)
    except Exception as error:
        return type(error).__name__ if connection_failed(error) else ""
    return ""


def _cached(path: str, config: str | None, split: str, reason: str) -> Any:
    """Return a split as `datasets` kept it on this disk when it was last fetched."""
    from datasets.load import CachedDatasetModuleFactory
    from datasets.packaged_modules.cache.cache import Cache

    try:
        CachedDatasetModuleFactory(path).get_module()
    except FileNotFoundError as error:
        raise Unreachable(
            f"it is not on this disk and the Hub cannot be asked ({reason})", reason
        ) from error
    name = path.rpartition("/")[2]
    kept = Cache(repo_id=path, dataset_name=name, config_name=config, version="auto", hash="auto")
    return kept.as_dataset(split=split)

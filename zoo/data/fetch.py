"""The package datasets, asked so that it writes no bars into files and waits for no silent Hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from zoo.hub.client import Unreachable, bars_on_terminals_only, connect, connection_failed


def fetch(path: str, config: str | None, split: str) -> Any:
    """Return a split of a data set, a `datasets.Dataset`; of the Hub's, as on this disk if it is.

    A Hub that does not answer one question is not asked another: left alone, the client asks six
    times over half a minute, and tells of each.

    Args:
        path: OWNER/NAME on the Hub, or a local folder.
        config: of its configurations, None for its only or default one.
        split: its name.

    Raises:
        Unreachable: the Hub does not answer, and the data set is not on this disk.
        Exception: whatever `datasets` raises.
    """
    import datasets

    why = "" if Path(path).exists() else _silence(path)
    with bars_on_terminals_only(), _datasets_bars(), _offline() if why else nullcontext():
        try:
            return datasets.load_dataset(path, config, split=split)
        except (ConnectionError, FileNotFoundError) as error:
            if not why:
                raise
            raise Unreachable(
                f"it is not on this disk and the Hub cannot be asked ({why})", why
            ) from error


def _silence(path: str) -> str:
    """Return why the Hub does not answer; "" where it does, be it with an error."""
    try:
        connect().dataset_info(path, timeout=10)
    except Exception as error:
        return type(error).__name__ if connection_failed(error) else ""
    return ""


@contextmanager
def _offline() -> Iterator[None]:
    """Tell `datasets` and the Hub's client to use what is on this disk."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


@contextmanager
def _datasets_bars() -> Iterator[None]:
    """Keep the bars of `datasets` where those of the client are."""
    import datasets
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled

    if datasets.are_progress_bars_disabled() or not are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()

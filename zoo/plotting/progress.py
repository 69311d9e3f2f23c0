"""The progress bar of long pictures."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm


def bar(total: int, what: str, shown: bool) -> tqdm[Any]:
    """Return a progress bar that goes when it is done; quiet where there is no terminal."""
    return tqdm(total=total, desc=what, leave=False, disable=None if shown else True)

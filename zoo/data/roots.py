"""Where data sets with a name of their own lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_dir

VARIABLE = "ZOO_DATA"


def roots(name: str) -> list[Path]:
    """Return the folders in which the data set `name` may lie: in $ZOO_DATA, the user's cache."""
    chosen = os.environ.get(VARIABLE)
    found = [Path(chosen).expanduser()] if chosen else []
    return [root / name for root in (*found, Path(user_cache_dir("zoo")) / "data")]

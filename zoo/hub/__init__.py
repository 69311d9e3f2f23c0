"""The Hugging Face Hub: fetch a repository, publish a folder. No model is known here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import ZooError, check_flag

REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


@dataclass(frozen=True)
class Access:
    """How to reach the Hub.

    Attributes:
        token: for private and gated repositories; None for the one of `hf auth login`.
        cache_dir: where the Hub's files are kept; None for $HF_HOME's.
        local_files_only: send no request.
    """

    token: str | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False

    def __post_init__(self) -> None:
        """Raise ZooError for what is no token and no flag; a token is not shown."""
        check_token(self.token)
        check_flag("local_files_only", self.local_files_only)


def check_token(token: str | None) -> None:
    """Raise ZooError unless a token is text, or None; it is not shown."""
    if not isinstance(token, str | None):
        raise ZooError(
            f"token is a {type(token).__name__}; expected text, or None for the one of "
            "`hf auth login`"
        )

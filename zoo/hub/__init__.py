"""The Hugging Face Hub: fetch a repository, publish a folder. No model is known here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

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

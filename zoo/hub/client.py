"""The Hub's client, and where it asks."""

from __future__ import annotations

import os
import re

from huggingface_hub import HfApi, constants

from zoo.__about__ import __version__
from zoo.errors import ZooError, shown

NAMESPACE = "fieldzoo"
LIBRARY = "fieldzoo"
_TOKEN = re.compile(r"[!-~]+")


def endpoint() -> str | None:
    """Return $HF_ENDPOINT, None for the client's own default; read at every call."""
    return os.environ.get("HF_ENDPOINT") or None


def server() -> str:
    """Return the address of the Hub that is asked, without user and password."""
    return shown(endpoint() or constants.ENDPOINT)


def namespace() -> str:
    """Return the Hub namespace that zoo names live in: $ZOO_HUB_NAMESPACE or the zoo's own."""
    return os.environ.get("ZOO_HUB_NAMESPACE") or NAMESPACE


def connect(token: str | None = None) -> HfApi:
    """Return the Hub's client; its requests name this library and its version.

    Raises:
        ZooError: no token can look like this one.
    """
    if token is not None and not _TOKEN.fullmatch(token):
        what = "has a blank or a letter that no token has" if token.strip() else "is empty"
        raise ZooError(f"the token {what}: pass another, or none for the one of `hf auth login`")
    return HfApi(
        endpoint=endpoint(), token=token, library_name=LIBRARY, library_version=__version__
    )

"""Zoo names that are not on this disk: $ZOO_HUB_NAMESPACE/<name> on the Hub."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.errors import ZooError
from zoo.hub.client import NotOnHub, Unreachable
from zoo.hub.pulling import pull_repository
from zoo.refs import Access

NAMESPACE = "fieldzoo"


def namespace() -> str:
    """Return the Hub namespace that zoo names live in: $ZOO_HUB_NAMESPACE or the zoo's own."""
    return os.environ.get("ZOO_HUB_NAMESPACE") or NAMESPACE


def pull_named(name: str, unknown: ZooError, revision: str | None, access: Access) -> Path:
    """Return the folder of a zoo name that nothing on this disk has.

    Args:
        name: a short name.
        unknown: what to tell if the Hub does not have it either.
        revision: of the repository.
        access: how to reach the Hub.

    Raises:
        ZooError: `unknown`, if there is no such repository or the Hub cannot be asked.
    """
    repo = f"{namespace()}/{name}"
    try:
        return pull_repository(repo, revision=revision, access=access)
    except NotOnHub as error:
        raise type(unknown)(f"{unknown} (nor is there {repo} on the Hub)") from error
    except Unreachable as error:
        raise type(unknown)(f"{unknown}; or, if it is on the Hub: {error}") from error

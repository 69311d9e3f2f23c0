"""Plugins that others have published, as a file in the Hub's namespace lists them."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec

from zoo.errors import ZooError, shown
from zoo.hub import Access
from zoo.hub.client import namespace, server
from zoo.hub.errors import Unreachable, hub_errors
from zoo.hub.memory import remember, remembered
from zoo.hub.snapshot import Snapshot

FILE, MAX_BYTES = "plugins.json", 200_000
_MOST = 500
# PEP 508's names as PEP 503 normalises them: nothing else can follow `pip install`.
_Distribution = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9]+(-[a-z0-9]+)*\Z", max_length=80)]
_Text = Annotated[str, msgspec.Meta(max_length=200)]


class Available(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A distribution that brings plugins.

    Attributes:
        distribution: its name, normalised as PEP 503 says: "zoo-yukawa".
        brings: what, in a few words: "kernel yukawa".
        summary: one line.
        url: its page, "https://...".
    """

    distribution: _Distribution
    brings: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    summary: _Text = ""
    url: Annotated[str, msgspec.Meta(pattern=r"\A(https://[!-~]{1,200})?\Z")] = ""


class Listing(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the file says.

    Attributes:
        repo: "owner/plugins".
        seen: when it was asked for, seconds since 1970.
        plugins: by name.
        trouble: why it was not asked for now, "" if it was.
    """

    repo: str
    seen: float
    plugins: tuple[Available, ...]
    trouble: str = ""

    @property
    def age(self) -> float:
        """Seconds since the Hub was asked."""
        return max(0.0, time.time() - self.seen)


def available_plugins() -> Listing:
    """Return the known plugins; where the Hub cannot be asked, those of the last time.

    They are those in `plugins.json` of the repository "plugins" in the zoo's namespace. Nothing is
    installed, and whoever installs one trusts its authors.

    Raises:
        ZooError: the Hub cannot be asked, and was not before; the file is not as it has to be.
    """
    repo = f"{namespace()}/plugins"
    kept = remembered("-plugins", Listing)
    try:
        with hub_errors(repo, quiet=True):  # the listing's age says it
            snapshot = Snapshot(repo, None, Access())
            if FILE in snapshot.listing and snapshot.cut_off is not None:
                raise snapshot.cut_off  # what is on this disk is as old as `kept`
            content = snapshot.fetch(FILE, limit=MAX_BYTES).read_bytes()
        found = parse_plugins(content, f"{repo}: {FILE}")
    except ZooError as error:
        if isinstance(error, Unreachable):
            said = f"{server()} cannot be asked for {repo} ({error.reason})"
            error = Unreachable(said, error.reason)
        if kept is None or kept.repo != repo:
            raise error from None
        return msgspec.structs.replace(kept, trouble=str(error))
    listing = Listing(repo, time.time(), found)
    remember("-plugins", listing)
    return listing


def parse_plugins(content: bytes, where: str = FILE) -> tuple[Available, ...]:
    """Return the plugins in a file by name, their texts as they may be printed.

    Raises:
        ZooError: another form, more than 500, or one distribution twice.
    """
    try:
        found = msgspec.json.decode(content, type=list[Available])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ZooError(f"{where}: {shown(error)}") from error
    if len(found) > _MOST:
        raise ZooError(f"{where}: {len(found)} plugins; at most {_MOST} are read")
    names = [plugin.distribution for plugin in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ZooError(f"{where}: {twice} is listed twice")
    plain = [
        msgspec.structs.replace(p, brings=shown(p.brings), summary=shown(p.summary)) for p in found
    ]
    return tuple(sorted(plain, key=lambda plugin: plugin.distribution))

"""The models of the Hub as `zoo list --hub` shows them, kept on this disk with their age."""

from __future__ import annotations

import re
import time
from fnmatch import fnmatchcase

import msgspec

from zoo.config.model import MAX_CONFIG_BYTES, parse_config
from zoo.errors import ZooError
from zoo.folder.read import CONFIG
from zoo.hub import check_token
from zoo.hub.client import LIBRARY, connect
from zoo.hub.models import HubModel, Shelf, described
from zoo.hub.records import CommitFault, content, keep, kept, look_into
from zoo.hub.search import Found, search
from zoo.hub.snapshot import Snapshot


class Catalogue(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        models: those that match, most downloads first.
        trouble: why the Hub was not asked, or did not tell all, "" where it did.
    """

    models: list[HubModel]
    trouble: str = ""

    @property
    def age(self) -> float:
        """Seconds since the oldest entry was listed; 0 if there is none."""
        return max((time.time() - m.seen for m in self.models), default=0.0)


def catalogue(
    pattern: str = "*", *, format: str | None = None, token: str | None = None, look: bool = True
) -> Catalogue:
    """Return the repositories of one kind whose id or name matches a shell pattern.

    One search, and at most 40 repositories whose config.json is read, the most downloaded
    ones first, within about 30 seconds; what a commit's says is kept. Where the Hub cannot be
    asked, what it said the last time.

    Args:
        pattern: such as "gravity-*" or "owner/*".
        format: None for those tagged `fieldzoo`; else a checkpoint format of another library, whose
            repositories the format itself looks at, but for their weights.
        token: None for the one of `hf auth login`.
        look: read those that are not known yet.

    Raises:
        ZooError: the Hub cannot be asked, and was not before; no such format, or one that names no
            tags to search for.
    """
    shelf = _OWN
    if format is not None:
        from zoo.hub.foreign import shelf_of  # imports torch, as formats do

        shelf = shelf_of(format)
    before = kept(shelf.name, list[HubModel])
    check_token(token)
    connect(token)  # which tells what no token looks like
    try:
        results = search(shelf.tags, _text(pattern), token=token)
    except ZooError as error:
        if not before:
            raise
        return Catalogue(_matching(before, pattern), str(error))
    now = time.time()
    known = {f.repo: _merged(f, before.get(f.repo), now) for f in results.found}
    whole = pattern == "*" and not results.trouble
    if results.trouble:  # what the rest of the list was the last time
        known = {**before, **known}
    if look:
        ranked = _matching(known, pattern)
        known |= {m.repo: m for m in look_into(ranked, shelf.read, token)}
    keep(shelf.name, (known if whole else {**before, **known}).values())
    return Catalogue(_matching(known, pattern), results.trouble)


def _text(pattern: str) -> str:
    """Return the longest run of plain characters of a pattern's name, for the Hub's search."""
    runs = re.split(r"\[[^\]]*\]|[*?\[\]]", pattern.rpartition("/")[2])
    return max(runs, key=len)


def _matching(known: dict[str, HubModel], pattern: str) -> list[HubModel]:
    def fits(repo: str) -> bool:
        return fnmatchcase(repo if "/" in pattern else repo.partition("/")[2], pattern)

    found = [m for m in known.values() if fits(m.repo)]
    return sorted(found, key=lambda m: (-(m.downloads or 0), m.repo))


def _merged(found: Found, before: HubModel | None, now: float) -> HubModel:
    same = before is not None and before.commit == found.commit
    known = before if before is not None and same else HubModel(found.repo, found.commit)
    return msgspec.structs.replace(known, downloads=found.downloads, seen=now)


def _config_of(model: HubModel, snapshot: Snapshot) -> HubModel:
    """Return the model with what config.json says."""
    text = content(snapshot, CONFIG, MAX_CONFIG_BYTES)
    try:
        config = parse_config(text, CONFIG)
    except ZooError as error:
        raise CommitFault(str(error)) from error
    size = sum(file.size for file in config.weights.files.values())
    return described(model, config, size)


_OWN = Shelf("", (LIBRARY,), _config_of)

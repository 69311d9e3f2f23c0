"""The models of the Hub as `zoo list --hub` shows them, kept on this disk with their age."""

from __future__ import annotations

import re
import time
from fnmatch import fnmatchcase

import msgspec

from zoo.config.model import MAX_CONFIG_BYTES, parse_config
from zoo.errors import ZooError, shown
from zoo.folder.read import CONFIG
from zoo.hub import Access, check_token
from zoo.hub.client import LIBRARY, connect
from zoo.hub.errors import Unreachable, hub_errors
from zoo.hub.memory import each, remember, remembered
from zoo.hub.search import Found, search
from zoo.hub.snapshot import Snapshot


class HubModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A repository, and what its config.json says.

    Attributes:
        repo: "owner/name".
        commit: of main when it was listed.
        downloads: of the last month; None where the Hub does not say.
        seen: when it was listed, seconds since 1970.
        looked: whether config.json was read, or cannot be at this commit.
        tried: when it could not be read for a reason that may pass, seconds since 1970.
        kernel: name of the kernel, "" where it is not known.
        network: name of the network.
        shape: of a sample.
        size: of the weights in bytes.
        weights: the other repository that has the weights, "" where it is this one.
        requires: distributions that the model needs.
        error: why config.json could not be read.
    """

    repo: str
    commit: str
    downloads: int | None = None
    seen: float = 0.0
    looked: bool = False
    tried: float = 0.0
    kernel: str = ""
    network: str = ""
    shape: tuple[int, ...] = ()
    size: int = 0
    weights: str = ""
    requires: tuple[str, ...] = ()
    error: str = ""


class Catalogue(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        models: those that match, most downloads first.
        trouble: why the Hub was not asked, "" where it was.
    """

    models: list[HubModel]
    trouble: str = ""

    @property
    def age(self) -> float:
        """Seconds since the oldest entry was listed; 0 if there is none."""
        return max((time.time() - m.seen for m in self.models), default=0.0)


def catalogue(pattern: str = "*", *, token: str | None = None, look: bool = True) -> Catalogue:
    """Return the repositories tagged `fieldzoo` whose id or name matches a shell pattern.

    One search, and at most 40 repositories whose config.json is read, the most downloaded
    ones first, within about 30 seconds; what a commit's says is kept. Where the Hub cannot be
    asked, what it said the last time.

    Args:
        pattern: such as "gravity-*" or "owner/*".
        token: None for the one of `hf auth login`.
        look: read config.json of those that are not known yet.

    Raises:
        ZooError: the Hub cannot be asked, and was not before.
    """
    kept = {m.repo: m for m in remembered("", list[HubModel]) or []}
    check_token(token)
    connect(token)  # which tells what no token looks like
    try:
        found = search([LIBRARY], _text(pattern), token=token)
    except ZooError as error:
        models = _matching(kept, pattern)
        if not kept:
            raise
        return Catalogue(models, str(error))
    now = time.time()
    known = {f.repo: _merged(f, kept.get(f.repo), now) for f in found}
    if look:
        new = [m for m in _matching(known, pattern) if not m.looked]
        new.sort(key=lambda m: m.tried)  # so that one that always fails holds up no other
        known |= {m.repo: m for m in each(new, lambda model: _looked(model, token))}
    _write(known if pattern == "*" else kept | known)
    return Catalogue(_matching(known, pattern))


def _text(pattern: str) -> str:
    """Return the longest run of plain characters of a pattern's name, for the Hub's search."""
    runs = re.split(r"\[[^\]]*\]|[*?\[\]]", pattern.rpartition("/")[2])
    return max(runs, key=len)


def _matching(known: dict[str, HubModel], pattern: str) -> list[HubModel]:
    def fits(repo: str) -> bool:
        return fnmatchcase(repo if "/" in pattern else repo.partition("/")[2], pattern)

    found = [m for m in known.values() if fits(m.repo)]
    return sorted(found, key=lambda m: (-(m.downloads or 0), m.repo))


def _merged(found: Found, kept: HubModel | None, now: float) -> HubModel:
    if kept is None or kept.commit != found.commit:
        return HubModel(found.repo, found.commit, found.downloads, now)
    return msgspec.structs.replace(kept, downloads=found.downloads, seen=now)


def _looked(model: HubModel, token: str | None) -> HubModel:
    """Return the model with what config.json says; raises Unreachable.

    What the commit is at fault for is for good; any other failure may be over the next time.
    """
    lasting = False
    try:
        with hub_errors(model.repo, model.commit, token):
            snapshot = Snapshot(model.repo, model.commit, Access(token))
            entry = snapshot.listing.get(CONFIG)
            lasting = snapshot.cut_off is None and (entry is None or entry.size > MAX_CONFIG_BYTES)
            content = snapshot.fetch(CONFIG, limit=MAX_CONFIG_BYTES).read_bytes()
        lasting = True
        config = parse_config(content, CONFIG)
    except Unreachable:
        raise
    except (ZooError, OSError) as error:
        tried = 0.0 if lasting else time.time()
        return msgspec.structs.replace(model, looked=lasting, tried=tried, error=shown(error))
    return msgspec.structs.replace(
        model,
        looked=True,
        kernel=shown(config.kernel.use, 60),
        network=shown(config.network.use, 60),
        shape=tuple(config.data.shape),
        size=sum(file.size for file in config.weights.files.values()),
        weights=shown(config.weights.repo or "", 200),
        requires=tuple(config.requires),
    )


def _write(known: dict[str, HubModel]) -> None:
    """Keep what commits say; why one was not read this time is not kept."""
    lasting = [m if m.looked else msgspec.structs.replace(m, error="") for m in known.values()]
    remember("", lasting)

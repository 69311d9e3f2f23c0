"""The models of the Hub as `zoo list --hub` shows them, kept on this disk with their age."""

from __future__ import annotations

import hashlib
import re
import time
from concurrent.futures import Future
from fnmatch import fnmatchcase
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

import msgspec

from zoo.config.model import MAX_CONFIG_BYTES, parse_config
from zoo.errors import ZooError, shown
from zoo.files import replacing
from zoo.folder.read import CONFIG, cache_folder
from zoo.hub import Access
from zoo.hub.client import LIBRARY, server
from zoo.hub.errors import Unreachable, hub_errors
from zoo.hub.search import Found, search
from zoo.hub.snapshot import Snapshot

LOOKS, SECONDS, _WORKERS = 40, 30.0, 4
_MOST_KEPT = 20_000_000


class HubModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A repository, and what its config.json says.

    Attributes:
        repo: "owner/name".
        commit: of main when it was listed.
        downloads: of the last month; None where the Hub does not say.
        seen: when it was listed, seconds since 1970.
        looked: whether config.json was read.
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

    One search, and at most `LOOKS` repositories whose config.json is read, the most downloaded
    ones first, within about `SECONDS`; what a commit's says is kept. Where the Hub cannot be asked,
    what it said the last time.

    Args:
        pattern: such as "gravity-*" or "owner/*".
        token: None for the one of `hf auth login`.
        look: read config.json of those that are not known yet.

    Raises:
        ZooError: the Hub cannot be asked, and was not before.
    """
    kept = _read()
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
        known |= _look(_matching(known, pattern), token)
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


def _look(models: list[HubModel], token: str | None) -> dict[str, HubModel]:
    """Return the models by repository whose config.json was read now.

    In threads of their own, which a server that never ends an answer keeps, and nobody else.
    """
    left: SimpleQueue[HubModel] = SimpleQueue()
    for model in [m for m in models if not m.looked][:LOOKS]:
        left.put(model)
    done: dict[str, HubModel] = {}
    stop, ended = Event(), [Future[None]() for _ in range(_WORKERS)]

    def work(future: Future[None]) -> None:
        try:
            while not stop.is_set():
                model = _looked(left.get_nowait(), token)
                if not stop.is_set():
                    done[model.repo] = model
        except (Empty, Unreachable):
            pass
        finally:
            future.set_result(None)

    until = time.monotonic() + SECONDS
    for future in ended:
        Thread(target=work, args=(future,), daemon=True).start()
    try:
        for future in ended:
            future.result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        pass
    stop.set()
    return dict(done)


def _looked(model: HubModel, token: str | None) -> HubModel:
    """Return the model with what config.json says; raises Unreachable."""
    try:
        with hub_errors(model.repo, model.commit, token):
            snapshot = Snapshot(model.repo, model.commit, Access(token))
            path = snapshot.fetch(CONFIG, limit=MAX_CONFIG_BYTES)
        config = parse_config(path.read_bytes(), CONFIG)
    except Unreachable:
        raise
    except (ZooError, OSError) as error:
        return msgspec.structs.replace(model, looked=True, error=shown(error))
    return msgspec.structs.replace(
        model,
        looked=True,
        kernel=config.kernel.use,
        network=config.network.use,
        shape=tuple(config.data.shape),
        size=sum(file.size for file in config.weights.files.values()),
        weights=config.weights.repo or "",
        requires=tuple(config.requires),
    )


def _place() -> Path:
    digest = hashlib.sha256(server().encode()).hexdigest()[:16]
    return cache_folder() / "hub" / f"{digest}.json"


def _read() -> dict[str, HubModel]:
    """Return what was kept; nothing where it cannot be read."""
    try:
        path = _place()
        if path.stat().st_size > _MOST_KEPT:
            return {}
        found = msgspec.json.decode(path.read_bytes(), type=list[HubModel])
    except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}
    return {model.repo: model for model in found}


def _write(known: dict[str, HubModel]) -> None:
    """Keep what is known; a cache that cannot be written costs only requests."""
    path = _place()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(msgspec.json.encode([*known.values()]))
    except (OSError, ZooError):
        return

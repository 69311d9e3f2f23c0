"""What the Hub said, kept on this disk for the next time; and asking it about many repositories."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

import msgspec

from zoo.errors import ZooError
from zoo.files import replacing
from zoo.folder.read import cache_folder
from zoo.hub.client import server
from zoo.hub.errors import Unreachable

LOOKS, SECONDS, _WORKERS = 40, 30.0, 4
_MOST_KEPT = 20_000_000

S = TypeVar("S")
T = TypeVar("T")


def remembered(what: str, kind: type[T]) -> T | None:
    """Return what was kept of the server that is asked; None where it cannot be read."""
    try:
        path = _place(what)
        if path.stat().st_size > _MOST_KEPT:
            return None
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, ZooError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def remember(what: str, value: object) -> None:
    """Keep a value; a cache that cannot be written costs only requests."""
    try:
        path = _place(what)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(msgspec.json.encode(value))
    except (OSError, ZooError):
        return


def _place(what: str) -> Path:
    digest = hashlib.sha256(server().encode()).hexdigest()[:16]
    return cache_folder() / "hub" / f"{digest}{what}.json"


def each(items: Iterable[S], ask: Callable[[S], T]) -> list[T]:
    """Return the answers about the first `LOOKS` items that came within about `SECONDS`.

    In threads of their own, which a server that never ends an answer keeps, and nobody else. A
    thread whose question raises Unreachable asks no more; after another error it goes on.
    """
    left: SimpleQueue[S] = SimpleQueue()
    for item in [*items][:LOOKS]:
        left.put(item)
    done: list[T] = []
    stop, ended = Event(), [Future[None]() for _ in range(_WORKERS)]

    def work(future: Future[None]) -> None:
        try:
            while not stop.is_set():
                item = left.get_nowait()
                try:
                    answer = ask(item)
                except Unreachable:
                    raise
                except Exception:  # about one of them: the others are still asked about
                    continue
                if not stop.is_set():
                    done.append(answer)
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
    return [*done]

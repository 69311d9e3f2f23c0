"""Search the Hub for repositories by tag, in bounded requests.

The client's own listing follows links wherever and as long as a server sends them, and waits
without end. Here pages, bytes and seconds are bounded, and no link leads to another server.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, TypeAlias

import msgspec
from huggingface_hub import constants
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    http_stream_backoff,
)

from zoo.__about__ import __version__
from zoo.errors import ZooError, shown
from zoo.hub import REPOSITORY
from zoo.hub.client import LIBRARY, endpoint, server
from zoo.hub.errors import Unreachable, confidential, connection_failed

MOST, PAGES, BYTES, SECONDS = 1000, 10, 30_000_000, 30.0
# Tags of a repository: all of them, and of a tuple in it one.
Tags: TypeAlias = Iterable[str | tuple[str, ...]]
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LONGEST = 200
_DOWNLOADS = 10**15
_QUIET = 10.0  # seconds without a byte


class Found(msgspec.Struct, frozen=True):
    """A repository that the Hub lists.

    Attributes:
        repo: "owner/name", in ASCII.
        commit: of main, 40 digits.
        downloads: of the last month, None where the Hub does not say.
        tags: its tags, those of plain letters.
    """

    repo: str
    commit: str
    downloads: int | None = None
    tags: tuple[str, ...] = ()


class Results(msgspec.Struct, frozen=True):
    """What a search found.

    Attributes:
        found: most downloads first.
        trouble: why the list ends before its end, "" where it does not.
    """

    found: list[Found]
    trouble: str = ""


def search(tags: Tags, text: str = "", *, token: str | None = None) -> Results:
    """Return the repositories that have all tags, one of each tuple, and `text` in their name.

    At most `MOST` of them, within `SECONDS`; each choice of tags is asked for at most `PAGES`
    pages.

    Raises:
        Unreachable: no network, offline mode, a server in trouble, or too slow a one.
        ZooError: an answer that no Hub gives.
    """
    if constants.is_offline_mode():
        raise Unreachable(
            f"{server()} is not asked: HF_HUB_OFFLINE is set", "HF_HUB_OFFLINE is set"
        )
    found: dict[str, Found] = {}
    read, trouble = 0, ""
    try:
        for entries in _listed(tags, text, token):
            found |= {entry.repo: entry for entry in entries}
            read += 1
    except ZooError as error:
        if not read:
            raise
        trouble = f"the list breaks off after {len(found)} models: {error}"
    ranked = sorted(found.values(), key=lambda entry: (-(entry.downloads or 0), entry.repo))
    return Results(ranked[:MOST], trouble)


def parse(page: bytes) -> list[Found]:
    """Return the repositories in an answer of the Hub, without those that can be none.

    Raises:
        ZooError: it is no JSON list, or nothing in it is a repository.
    """
    try:
        items = msgspec.json.decode(page)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ZooError(f"{server()} gave an answer that no Hub gives: no JSON") from error
    if not isinstance(items, list):
        raise ZooError(f"{server()} gave an answer that no Hub gives: no list of models")
    found = [entry for entry in map(_entry, items) if entry is not None]
    if items and not found:
        raise ZooError(f"{server()} gave an answer that no Hub gives: models without a name")
    return found


def _entry(item: object) -> Found | None:
    if not isinstance(item, dict):
        return None
    repo, commit, count, tags = (item.get(k) for k in ("id", "sha", "downloads", "tags"))
    if not isinstance(repo, str) or not repo.isascii() or len(repo) > _LONGEST:
        return None
    if not REPOSITORY.fullmatch(repo) or not isinstance(commit, str):
        return None
    if not _COMMIT.fullmatch(commit):
        return None
    known = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < _DOWNLOADS
    texts = [t for t in tags if isinstance(t, str)] if isinstance(tags, list) else []
    plain = tuple(t for t in texts[:100] if t.isascii() and t.isprintable() and len(t) <= 60)
    return Found(repo, commit, count if known else None, plain)


def _listed(tags: Tags, text: str, token: str | None) -> Iterator[list[Found]]:
    """Yield what each page lists, for each choice of one tag of every tuple."""
    end = time.monotonic() + SECONDS
    for chosen in product(*((tag,) if isinstance(tag, str) else tag for tag in tags)):
        asked: dict[str, Any] = {"filter": [*chosen], "limit": MOST, "sort": "downloads"}
        asked["expand"] = ["sha", "downloads", "tags"]
        listed = 0
        for page in _pages(asked | ({"search": text} if text else {}), token, end):
            yield (entries := parse(page))
            listed += len(entries)
            if listed >= MOST:
                break


def _pages(asked: dict[str, Any], token: str | None, end: float) -> Iterator[bytes]:
    """Yield the bodies of the pages; raises ZooError where the list breaks off."""
    base = f"{(endpoint() or constants.ENDPOINT).rstrip('/')}/api/models"
    url, params = base, asked
    for _ in range(PAGES):
        body, following = _get(url, params, token, end)
        yield body
        if following is None:
            return
        if not following.startswith(f"{base}?"):
            raise ZooError(f"{server()} links to another server, which is not asked")
        url, params = following, {}


def _get(
    url: str, params: dict[str, Any], token: str | None, end: float
) -> tuple[bytes, str | None]:
    """Return a body and the address of the next page."""
    headers = build_hf_headers(token=token, library_name=LIBRARY, library_version=__version__)
    options: dict[str, Any] = {"params": params} if params else {}
    options |= {"headers": headers, "timeout": max(0.1, min(_QUIET, end - time.monotonic()))}
    options |= {"retry_on_exceptions": (), "retry_on_status_codes": ()}
    body = b""
    try:
        with http_stream_backoff("GET", url, **options) as answer:
            if (status := answer.status_code) != 200:
                later = "; try again later" if status >= 429 else ""
                raise Unreachable(f"{server()} answered {status} to a search{later}", str(status))
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > BYTES:
                    raise ZooError(f"{server()} answers a search with more than {BYTES} bytes")
                if time.monotonic() > end:
                    raise Unreachable(f"{server()} takes more than {SECONDS:g} seconds", "slow")
            return body, answer.links.get("next", {}).get("url")
    except ZooError:
        raise
    except Exception as error:
        said = shown(error, secrets=confidential(token)) or type(error).__name__
        reason = type(error).__name__
        if connection_failed(error):
            said += "; check network, proxy and HF_ENDPOINT"
        raise Unreachable(f"{server()} cannot be asked ({reason}): {said}", reason) from error

"""What commits of repositories say, kept; a repository that fails waits for the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from zoo.errors import ZooError, shown
from zoo.hub import Access
from zoo.hub.errors import Unreachable, hub_errors
from zoo.hub.memory import each, remember, remembered
from zoo.hub.snapshot import Snapshot


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found out about one commit.

    Attributes:
        repo: "owner/name".
        commit: its 40 digits.
        looked: whether it was read, or cannot be at this commit.
        tried: when it could not be read for a reason that may pass, seconds since 1970.
        error: why not all of it was read.
    """

    repo: str
    commit: str
    looked: bool = False
    tried: float = 0.0
    error: str = ""


class CommitFault(ZooError):
    """What a commit holds cannot be read, and never will be."""


R = TypeVar("R", bound=Record)


def kept(what: str, kind: type[list[R]]) -> dict[str, R]:
    """Return the records that were kept under a name, by repository."""
    return {record.repo: record for record in remembered(what, kind) or []}


def keep(what: str, records: Iterable[R]) -> None:
    """Keep records; why one was not read this time is not kept."""
    lasting = [r if r.looked else msgspec.structs.replace(r, error="") for r in records]
    remember(what, lasting)


def look_into(records: Iterable[R], read: Callable[[R, Snapshot], R], token: str | None) -> list[R]:
    """Return those that were not looked into, with what `read` makes of the commit.

    At most 40, within about 30 seconds; first those that never failed, then those that failed
    the longest ago, so that one that always fails holds up no other.

    Args:
        records: in the order in which they are looked into.
        read: raises CommitFault for what is the commit's fault for good, and any other ZooError for
            what may be over the next time.
        token: None for the one of `hf auth login`.
    """

    def ask(record: R) -> R:
        try:
            with hub_errors(record.repo, record.commit, token):
                return read(record, Snapshot(record.repo, record.commit, Access(token)))
        except Unreachable:
            raise
        except CommitFault as error:
            return msgspec.structs.replace(record, looked=True, error=shown(error))
        except (ZooError, OSError) as error:
            return missed(record, error)

    new = sorted((r for r in records if not r.looked), key=lambda r: r.tried)
    return each(new, ask)


def missed(record: R, error: Exception) -> R:
    """Return a record that is to be asked for again, after the others."""
    return msgspec.structs.replace(record, looked=False, tried=time.time(), error=shown(error))


def content(snapshot: Snapshot, file: str, limit: int) -> bytes:
    """Return the content of a file of a commit.

    Raises:
        CommitFault: the commit has no such file, or a larger one.
        Exception: as `Snapshot` does, for any other reason.
    """
    entry = snapshot.listing.get(file)
    lasting = snapshot.cut_off is None and (entry is None or entry.size > limit)
    try:
        return snapshot.fetch(file, limit=limit).read_bytes()
    except ZooError as error:
        if lasting:
            raise CommitFault(str(error)) from error
        raise

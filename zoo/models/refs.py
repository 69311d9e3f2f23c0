"""References: what users write for a model, and what it can mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from zoo.config.part import NAME
from zoo.errors import ZooError
from zoo.files import is_folder
from zoo.hub import REPOSITORY

_HUB = re.compile(rf"^(?P<repo>{REPOSITORY.pattern})(?:@(?P<revision>[^@\s]+))?\Z")


@dataclass(frozen=True)
class Name:
    """A name of the zoo, short or "plugin:name"."""

    name: str


@dataclass(frozen=True)
class Local:
    """A folder on disk."""

    path: Path


@dataclass(frozen=True)
class Hub:
    """A repository on the Hugging Face Hub."""

    repo: str
    revision: str | None = None


def _local(ref: str, path: str) -> Local:
    try:
        return Local(Path(path).expanduser())
    except RuntimeError as error:
        raise ZooError(f"{ref!r}: there is no such user's folder") from error


def parse_ref(ref: str) -> Name | Local | Hub:
    """Return what `ref` means: zoo name, "owner/name[@revision]", or folder "./x", "/x", "~/x".

    `hub:` and `path:` in front say it outright.

    Raises:
        ZooError: malformed, or a Hub id that is also a folder here: the error has both spellings.
    """
    if ref.startswith("path:") and len(ref) > len("path:"):
        return _local(ref, ref.removeprefix("path:"))
    hub = _HUB.match(ref.removeprefix("hub:"))
    if ref.startswith("hub:"):
        if not hub:
            raise ZooError(f"{ref!r} is not a Hub reference; write hub:owner/name[@revision]")
        return Hub(hub["repo"], hub["revision"])
    if ref in (".", "..") or ref.startswith(("./", "../", "/", "~")):
        return _local(ref, ref)
    there = is_folder(Path(ref))
    if hub:
        if there:
            raise ZooError(
                f"{ref!r} is a folder here and may be a Hub id; say path:{ref} or hub:{ref}"
            )
        return Hub(hub["repo"], hub["revision"])
    if NAME.match(ref):
        return Name(ref)
    write = f"./{ref}" if there else "a name of `zoo list`, a Hub id owner/name, or a folder ./name"
    raise ZooError(f"{ref!r} is not a model reference; write {write}")

"""Models of the Hub in the format of another library, recognised without their weights."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import msgspec

from zoo.config.model import MAX_CONFIG_BYTES
from zoo.errors import PluginError, ZooError
from zoo.folder.formats import recognise
from zoo.host import build
from zoo.host.registry import find
from zoo.hub.errors import hub_errors
from zoo.hub.fetch import RepositoryFiles
from zoo.hub.models import HubModel, Shelf, described
from zoo.hub.records import CommitFault, content
from zoo.hub.snapshot import Snapshot
from zoo.interfaces.format import MAX_WEIGHT_BYTES

_MOST_FILES = 10
_MOST_SEARCHES = 8


def shelf_of(format: str) -> Shelf:
    """Return where the models of a format are.

    What another version of its plugin, or edition of the format, said of a commit is not asked for.

    Raises:
        ZooError: no such format, or it names no tags to search for.
        PluginError: its plugin is broken.
    """
    found = find("formats", format)
    built = build.format(found.qualified)
    tags = built.hub_tags
    if not isinstance(tags, tuple) or not all(_is_tag(tag) for tag in tags):
        raise PluginError(f"{found.label}: hub_tags is no tuple of names")
    if not tags:
        raise ZooError(f"format {format!r} names no tags of the Hub to search for")
    if math.prod(len(tag) for tag in tags if isinstance(tag, tuple)) > _MOST_SEARCHES:
        raise PluginError(f"{found.label}: hub_tags takes more than {_MOST_SEARCHES} searches")
    key = f"{found.qualified} {found.plugin.origin} {built.edition} {tags}"
    name = f"-format-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    return Shelf(name, tags, lambda model, snapshot: _read(model, snapshot, found.qualified))


def _is_tag(tag: object) -> bool:
    choice = tag if isinstance(tag, tuple) and tag else (tag,)
    return all(isinstance(name, str) and name.isascii() for name in choice)


class _SmallFiles(RepositoryFiles):
    """The files of a repository, of which a few small ones are fetched.

    Attributes:
        trouble: why one could not be, where that may pass.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self.left = _MOST_FILES
        self.trouble: ZooError | None = None

    def path(self, name: str, limit: int = MAX_WEIGHT_BYTES) -> Path:
        """Return where a file is; raises as `Files` does."""
        self.left -= 1
        if self.left < 0:
            raise CommitFault(f"{self.where}: the format asks for more than {_MOST_FILES} files")
        snapshot = self.snapshot
        try:
            with hub_errors(snapshot.repo, snapshot.commit, snapshot.access.token):
                content(snapshot, name, min(limit, MAX_CONFIG_BYTES))
                return snapshot.folder / name
        except CommitFault:
            raise
        except ZooError as error:
            self.trouble = error
            raise


def _read(model: HubModel, snapshot: Snapshot, format: str) -> HubModel:
    """Return the model with what the format says of its files."""
    files = _SmallFiles(snapshot)
    if snapshot.cut_off is not None:
        raise snapshot.cut_off
    try:
        checkpoint = recognise(files, format=format)
    except PluginError:
        raise
    except ZooError as error:
        raise files.trouble or CommitFault(str(error)) from error
    entries = [snapshot.listing.get(name) for name in checkpoint.files]
    known = described(model, checkpoint.config, sum(e.size for e in entries if e is not None))
    return msgspec.structs.replace(known, weights="")

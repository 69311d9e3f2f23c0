"""Finding plugins: every entry point of the group `zoo`, each loaded by itself.

A broken plugin is data about that plugin. Whatever goes wrong while it is imported, or while its
hooks are called, is kept in its record and reaches only who asks for what it brings. Nothing
depends on the order of loading: entry points are sorted, and of two distributions that claim one
name neither wins.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from importlib.resources.abc import Traversable
from pathlib import Path

from zoo.config.part import PLAIN_NAME
from zoo.errors import PluginError, did_you_mean, one_line
from zoo.hookspecs import ENTRY_POINT_GROUP, Component
from zoo.host.deadline import SECONDS_VARIABLE, Late, at_most, seconds_for_plugin
from zoo.host.hooks import HOOKS, collect
from zoo.host.interrupt import only_ctrl_c
from zoo.host.places import function_in, place_in

LIMIT_VARIABLE = "ZOO_PLUGINS"


@dataclass(frozen=True)
class PluginRecord:
    """One plugin: who brings it, what it brings, or why it is broken.

    Attributes:
        name: of the entry point, "gravity".
        distribution: that declares it, "fieldzoo"; "" where none does.
        version: of the distribution.
        value: what the entry point points at, "zoo_gravity".
        components: kind ("kernels", ...) -> components; empty where the plugin is broken.
        models: model folders; empty where the plugin is broken.
        error: why the plugin is broken, None where it is not.
        cause: the same in one line, "" where it is not.
    """

    name: str
    distribution: str
    version: str
    value: str
    components: Mapping[str, tuple[Component, ...]] = field(default_factory=dict)
    models: tuple[Traversable, ...] = ()
    error: BaseException | None = None
    cause: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Put the error into words once: they are the plugin's own code."""
        if self.error is not None:
            text = f"{describe_error(self.error)}{place_in(self.error)}"
            hook = function_in(self.error, HOOKS)
            object.__setattr__(self, "cause", f"{hook} failed: {text}" if hook else text)

    @property
    def origin(self) -> str:
        """Distribution and version, "zoo-yukawa 0.2"."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def package(self) -> str:
        """The top package of its code, "zoo_gravity"."""
        return self.value.partition(":")[0].partition(".")[0]


# The distribution that the zoo's own plugins come with.
OWN = "fieldzoo"


def describe_error(error: BaseException) -> str:
    """Return an exception in one line: "ModuleNotFoundError: No module named 'x'"."""
    name = text = type(error).__name__
    with suppress(RuntimeError), only_ctrl_c():
        text = one_line(error)
    return text if isinstance(error, PluginError) or text == name else f"{name}: {text}"


def plugins() -> tuple[PluginRecord, ...]:
    """Return the record of every installed plugin, broken ones included, sorted by name.

    The environment variable ZOO_PLUGINS limits which are loaded: "gravity,networks" means these
    two, an empty value means none. Loaded once per process and per value of that variable.
    """
    return _load_all(os.environ.get(LIMIT_VARIABLE))


def reset() -> None:
    """Forget the loaded plugins, so that the next call looks again at what is installed."""
    _load_all.cache_clear()


@cache
def _load_all(limit: str | None) -> tuple[PluginRecord, ...]:
    claims: dict[str, list[EntryPoint]] = {}
    for entry in sorted(_entry_points(), key=lambda e: (e.name, _origin(e.dist), e.value)):
        claims.setdefault(entry.name, []).append(entry)
    wanted = set(claims) if limit is None else {name.strip() for name in limit.split(",")} - {""}
    records: list[PluginRecord] = []
    for name in sorted(wanted):
        records += _load_name(claims[name]) if name in claims else [_absent(name, claims)]
    return tuple(records)


def _entry_points() -> Iterable[EntryPoint]:
    try:
        return entry_points(group=ENTRY_POINT_GROUP)
    except Exception:  # one malformed entry_points.txt hides all others: read them one by one
        first: dict[str, Distribution] = {}
        for distribution in distributions():  # the first on the path is the one that is imported
            first.setdefault(_origin(distribution)[0].lower(), distribution)
        return [e for d in first.values() for e in _readable(d) if e.group == ENTRY_POINT_GROUP]


def _readable(distribution: Distribution) -> Iterable[EntryPoint]:
    try:
        return distribution.entry_points
    except Exception:
        return ()


def _origin(distribution: Distribution | None) -> tuple[str, str]:
    """Return (name, version) of a distribution, "?" where its metadata cannot be read."""
    try:
        metadata = distribution.metadata  # type: ignore[union-attr]
        return str(metadata["Name"] or "?"), str(metadata["Version"] or "?")
    except Exception:
        return "?", "?"


def _absent(name: str, known: Iterable[str]) -> PluginRecord:
    text = f"{LIMIT_VARIABLE} asks for it and no installed distribution brings it"
    return PluginRecord(name, "", "", "", error=PluginError(f"{text}; {did_you_mean(name, known)}"))


def _load_name(entries: Sequence[EntryPoint]) -> list[PluginRecord]:
    """Return the records of all entry points that claim one name.

    Nobody takes a name from the zoo itself: its own is loaded whoever else claims it.
    """
    records = [PluginRecord(e.name, *_origin(e.dist), e.value) for e in entries]
    own = [record for record in records if record.distribution == OWN]
    rightful = own if len(own) == 1 else records
    name, claims = entries[0].name, " and ".join(record.origin for record in records)
    text = f"the name {name!r} is claimed by {claims}; uninstall all but one"
    if len(rightful) == 1:
        text = f"the name {name!r} is that of a plugin of {OWN}; take another"
    return [
        _load(record, entry) if rightful == [record] else replace(record, error=PluginError(text))
        for record, entry in zip(records, entries, strict=True)
    ]


@contextmanager
def _same_folder() -> Iterator[None]:
    """Go back to the working folder where the block leaves it: relative paths are the user's."""
    try:
        before = Path.cwd()
    except OSError:  # it has been deleted
        yield
        return
    try:
        yield
    finally:
        os.chdir(before)


def _load(record: PluginRecord, entry: EntryPoint) -> PluginRecord:
    seconds = seconds_for_plugin()
    try:
        if not re.fullmatch(PLAIN_NAME, record.name):
            raise PluginError(f"entry point {record.name!r}: expected a name like {PLAIN_NAME}")
        # What a plugin prints is not for the readers of --json.
        with at_most(seconds), only_ctrl_c(), redirect_stdout(sys.stderr), _same_folder():
            components, models = collect(entry.load(), record.name)
    except KeyboardInterrupt:
        raise
    except Late:
        text = f"it takes more than {seconds:g} s to load; {SECONDS_VARIABLE} allows more"
        return replace(record, error=PluginError(text))
    except BaseException as error:  # SystemExit too: a plugin must not end its user's process
        with at_most(seconds):
            return replace(record, error=error)
    return replace(record, components=components, models=models)

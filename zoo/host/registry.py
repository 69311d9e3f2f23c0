"""Components by name: the short name where one plugin alone brings it, `plugin:name` always.

A short name that two plugins bring belongs to neither: asking for it is an error that names both.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from zoo.errors import PluginError, ZooError, brief, did_you_mean
from zoo.hookspecs import Component
from zoo.host.hooks import KINDS
from zoo.host.plugins import LIMIT_VARIABLE, PluginRecord, plugins


@dataclass(frozen=True)
class Found:
    """A component, and the plugin that brings it."""

    kind: str
    component: Component
    plugin: PluginRecord

    @property
    def qualified(self) -> str:
        """The name that is never ambiguous, "gravity:gravity"."""
        return f"{self.plugin.name}:{self.component.name}"

    @property
    def label(self) -> str:
        """How errors name it: "kernel 'gravity' of plugin 'gravity' (fieldzoo 0.1.0)"."""
        owner = f"of plugin {self.plugin.name!r} ({self.plugin.origin})"
        return f"{self.kind[:-1]} {self.component.name!r} {owner}"


def catalogue(kind: str) -> dict[str, Found]:
    """Return every component of one kind by its shortest unambiguous name; see `components`."""
    found = _all(kind)
    short = [f.component.name for f in found]
    named = {
        f.component.name if short.count(f.component.name) == 1 else f.qualified: f for f in found
    }
    return dict(sorted(named.items()))


def components(kind: str) -> list[str]:
    """Return the names of all components of one kind, sorted; clashing ones as "plugin:name".

    Args:
        kind: "kernels", "priors", "networks", "solvers", "formats" or "posteriors".

    Raises:
        ZooError: there is no such kind.
    """
    return list(catalogue(kind))


def find(kind: str, name: str) -> Found:
    """Return the component called `name`, "gravity" or "gravity:gravity".

    Raises:
        ZooError: no such kind or name, or a short name that two plugins bring.
        PluginError: the plugin in a qualified name is absent or broken.
    """
    if not isinstance(name, str):
        raise ZooError(f"{kind[:-1]} = {brief(name)}; expected a name such as {_example(kind)!r}")
    plugin, colon, short = name.rpartition(":")
    if colon:
        return _find_in(plugin, kind, short)
    matches = [f for f in _all(kind) if f.component.name == name]
    if len(matches) > 1:
        owners = " and ".join(f"{f.plugin.name!r} ({f.plugin.origin})" for f in matches)
        spellings = " or ".join(repr(f.qualified) for f in matches)
        raise ZooError(f"{kind[:-1]} {name!r} is in the plugins {owners}; write {spellings}")
    if not matches:
        raise ZooError(f"no {kind[:-1]} {name!r}; {did_you_mean(name, components(kind))}{hint()}")
    return matches[0]


def is_own_law(prior: str, kernel: str) -> bool:
    """Return whether a prior's name is the kernel's, for which no plugin brings a prior.

    Such a kernel starts from its own law around the origin, zoo.interfaces.KernelPrior.
    """
    plugin, _, short = prior.rpartition(":")
    named = (f for f in _all("priors") if f.component.name == short)
    return prior == kernel and not any(plugin in ("", f.plugin.name) for f in named)


def model_folders() -> list[tuple[PluginRecord, Traversable]]:
    """Return the model folders that plugins bring, each with its plugin."""
    return [(plugin, folder) for plugin in plugins() for folder in plugin.models]


def _all(kind: str) -> list[Found]:
    if not isinstance(kind, str) or kind not in KINDS:
        raise ZooError(f"no kind of component {brief(kind)}; {did_you_mean(brief(kind), KINDS)}")
    return [Found(kind, c, p) for p in plugins() for c in p.components.get(kind, ())]


def _example(kind: str) -> str:
    return next(iter(components(kind)), "plugin:name")


def _find_in(plugin: str, kind: str, name: str) -> Found:
    """Return a component by its qualified name."""
    records = {record.name: record for record in plugins()}
    if plugin not in records:
        raise PluginError(f"no plugin {plugin!r}; {did_you_mean(plugin, records)}")
    record = records[plugin]
    if record.error is not None:
        raise PluginError(
            f"{kind[:-1]} '{plugin}:{name}': plugin {plugin!r} ({record.origin}) is broken: "
            f"{record.cause}"
        ) from record.error
    own = {f.component.name: f for f in _all(kind) if f.plugin is record}
    if name not in own:
        raise ZooError(f"plugin {plugin!r} has no {kind[:-1]} {name!r}; {did_you_mean(name, own)}")
    return own[name]


def hint() -> str:
    """Return why a name may be missing: a broken plugin, a limit; "" where neither is."""
    hints = []
    if broken := sorted({record.name for record in plugins() if record.error is not None}):
        one = "plugin {} is" if len(broken) == 1 else "plugins {} are"
        hints.append(f"{one.format(', '.join(broken))} broken: `zoo plugins` says why")
    if (limit := os.environ.get(LIMIT_VARIABLE)) is not None:
        hints.append(f"{LIMIT_VARIABLE} is {limit!r}")
    return f" ({'; '.join(hints)})" if hints else ""

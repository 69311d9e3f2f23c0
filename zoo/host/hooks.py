"""Calling the hooks of one plugin, and checking what they bring.

Each plugin gets a pluggy manager of its own, so nothing that one registers can reach another.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import pluggy

from zoo import hookspecs
from zoo.config.part import PLAIN_NAME
from zoo.errors import PluginError, did_you_mean
from zoo.hookspecs import ENTRY_POINT_GROUP, Component


@dataclass(frozen=True)
class Kind:
    """A kind of component.

    Attributes:
        plural: its name, "kernels"; of one, without the "s".
        hook: brings components of this kind.
        interface: the abstract class in zoo.interfaces that each of them is.
        given: the arguments that every target is called with by position.
        named: the arguments that every target is called with by name.
    """

    plural: str
    hook: str
    interface: str
    given: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


_ALL = (
    Kind("kernels", "zoo_field_kernels", "FieldKernel", named=("dim",)),
    Kind("priors", "zoo_prior_samplers", "PriorSampler", given=("kernel",)),
    Kind("networks", "zoo_networks", "Network", given=("shape", "kernel")),
    Kind("solvers", "zoo_solvers", "Solver"),
    Kind("formats", "zoo_formats", "Format"),
    Kind("posteriors", "zoo_posteriors", "PosteriorMethod"),
)
KINDS: Mapping[str, Kind] = MappingProxyType({kind.plural: kind for kind in _ALL})
MODELS_HOOK = "zoo_models"
HOOKS = (*(kind.hook for kind in _ALL), MODELS_HOOK)

_MOST_ITEMS = 10_000
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

Brought = tuple[Mapping[str, tuple[Component, ...]], tuple[Path, ...]]


def collect(plugin: object, name: str) -> Brought:
    """Return all that the plugin of an entry point brings: components by kind, and model folders.

    Raises:
        PluginError: a hook that does not exist, an argument that no hook has, a record that is
            none, a name given twice.
        BaseException: whatever the plugin's own code raises.
    """
    hook = _register(plugin, name)
    components = {k.plural: _components(k.hook, _flatten(hook, k.hook)) for k in KINDS.values()}
    models = tuple(_folder(item) for item in _flatten(hook, MODELS_HOOK))
    return MappingProxyType(components), models


def _register(plugin: object, name: str) -> pluggy.HookRelay:
    manager = pluggy.PluginManager(ENTRY_POINT_GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, name)
    except pluggy.PluginValidationError as error:
        raise PluginError(str(error)) from error
    for hook, caller in vars(manager.hook).items():
        marked = caller.get_hookimpls()
        if hook not in HOOKS and not all(impl.optionalhook for impl in marked):
            raise PluginError(f"there is no hook {hook!r}; {did_you_mean(hook, HOOKS)}")
        if hook in HOOKS and not marked and callable(getattr(plugin, hook, None)):
            raise PluginError(f"{hook} is not a function marked @hookimpl, so nobody would call it")
    return manager.hook


def _flatten(hook: pluggy.HookRelay, spec: str) -> list[object]:
    """Call one hook and run through all that it returns, generators included."""
    items: list[object] = []
    caller = getattr(hook, spec)
    results = caller()
    if len(results) < sum(not (i.wrapper or i.hookwrapper) for i in caller.get_hookimpls()):
        # pluggy leaves out what is None.
        raise PluginError(f"{spec} returned nothing; is a `return` or `yield` forgotten?")
    for result in results:
        if isinstance(result, str) or not isinstance(result, Iterable):
            raise PluginError(f"{spec} returned {reprlib.repr(result)}; expected an iterable")
        items.extend(islice(result, _MOST_ITEMS + 1))
        if len(items) > _MOST_ITEMS:
            raise PluginError(f"{spec} gave more than {_MOST_ITEMS}")
    return items


def _components(spec: str, items: Iterable[object]) -> tuple[Component, ...]:
    components: dict[str, Component] = {}
    for item in items:
        if not isinstance(item, Component):
            raise PluginError(f"{spec} gave {reprlib.repr(item)}; expected a zoo.Component")
        if not isinstance(item.name, str) or not re.fullmatch(PLAIN_NAME, item.name):
            raise PluginError(f"{spec} gave the name {item.name!r}; expected {PLAIN_NAME}")
        where = f"{spec} gave {item.name!r}"
        if not isinstance(item.target, str) or not _TARGET.fullmatch(item.target):
            raise PluginError(f"{where} the target {item.target!r}; expected 'package.module:Name'")
        for text in ("summary", "formula"):
            if not isinstance(getattr(item, text), str):
                raise PluginError(f"{where} the {text} {getattr(item, text)!r}; expected text")
        if not isinstance(item.example, Mapping) or not all(
            isinstance(k, str) for k in item.example
        ):
            raise PluginError(f"{where} the example {item.example!r}; expected options by name")
        if item.name in components:
            raise PluginError(f"{where} twice")
        components[item.name] = item
    return tuple(components.values())


def _folder(item: object) -> Path:
    if not isinstance(item, Traversable):
        raise PluginError(
            f"{MODELS_HOOK} gave {reprlib.repr(item)}; expected a folder such as "
            "importlib.resources.files('zoo_yukawa') / 'models' / 'yukawa-moons'"
        )
    return Path(str(item))

"""The state of a module that a pickle describes: what state_dict() would return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zoo.errors import ZooError
from zoo.formats.unpickler import Inert

_DEEPEST = 50


def attributes(module: object) -> Mapping[str, Any] | None:
    """Return the attributes of a module of the file, None if it is no module.

    A class that carries its own source is a call of one function with one mapping, whose "state"
    has the attributes; the source itself is never looked at.
    """
    if not isinstance(module, Inert):
        return None
    state = _meta(module).get("state") if module.state is None else module.state
    return state if isinstance(state, Mapping) and "_modules" in state else None


def class_name(module: Inert) -> str:
    """Return the name of a module's class, "" where the file does not say."""
    name = _meta(module).get("class_name", "" if _meta(module) else module.name)
    return name if isinstance(name, str) else ""


def _meta(module: Inert) -> Mapping[str, Any]:
    """Return the mapping that a class with its own source is called with, {} for others."""
    meta = module.args[0] if module.args else None
    meta = meta.items if isinstance(meta, Inert) else meta
    return meta if isinstance(meta, Mapping) else {}


def state_dict(module: object, where: str, prefix: str = "", depth: int = 0) -> dict[str, Tensor]:
    """Return every parameter and persistent buffer by its dotted name.

    Raises:
        ZooError: a part of it is no module, or no tensor.
    """
    state = attributes(module)
    if state is None or depth > _DEEPEST:
        raise ZooError(f"{where}: {prefix.rstrip('.') or 'the network'} is not a torch module")
    hidden = state.get("_non_persistent_buffers_set") or ()
    found: dict[str, Tensor] = {}
    for kind in ("_parameters", "_buffers"):
        for name, value in _items(state.get(kind), where, prefix + kind):
            if value is None or (kind == "_buffers" and name in hidden):
                continue
            if not isinstance(value, Tensor):
                raise ZooError(f"{where}: {prefix}{name} is a {type(value).__name__}, no tensor")
            found[prefix + name] = value
    for name, inner in _items(state["_modules"], where, prefix + "_modules"):
        if inner is not None:
            found |= state_dict(inner, where, f"{prefix}{name}.", depth + 1)
    return found


def _items(value: Any, where: str, name: str) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ZooError(f"{where}: {name} is not a mapping of names")
    return [*value.items()]

"""Networks in a pickle: the tensors of a torch module that was not built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zoo.errors import ZooError
from zoo.formats.names import Inert

_DEEPEST = 50
# Modules that share their parts, which share theirs, would be walked through without end.
_MOST_PARTS = 100_000
_LONGEST_NAME = 1000


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


def state_dict(module: object, where: str) -> dict[str, Tensor]:
    """Return parameters and persistent buffers by dotted names, shapes as torch's state_dict has.

    Raises:
        ZooError: a part of it is no module or no tensor, or it has too many parts.
    """
    walk = _Walk(where)
    found: dict[str, Tensor] = {}
    ahead: list[tuple[str, object, int]] = [("", module, 0)]
    while ahead:
        prefix, part, depth = ahead.pop()
        state = attributes(part)
        if state is None or depth > _DEEPEST:
            raise ZooError(f"{where}: {prefix.rstrip('.') or 'the network'} is not a torch module")
        found |= walk.tensors(state, prefix)
        inner = walk.items(state["_modules"], prefix, "_modules")
        ahead += [(f"{prefix}{name}.", value, depth + 1) for name, value in reversed(inner)]
    return found


class _Walk:
    """What is looked at in a network: not without end, where modules share their parts."""

    def __init__(self, where: str) -> None:
        self.where, self.left = where, _MOST_PARTS

    def tensors(self, state: Mapping[str, Any], prefix: str) -> dict[str, Tensor]:
        """Return parameters and persistent buffers of one module."""
        hidden = state.get("_non_persistent_buffers_set")
        hidden = hidden if isinstance(hidden, set) else set()
        found: dict[str, Tensor] = {}
        for kind in ("_parameters", "_buffers"):
            for name, value in self.items(state.get(kind), prefix, kind):
                if kind == "_buffers" and name in hidden:
                    continue
                if not isinstance(value, Tensor):
                    kind = type(value).__name__
                    raise ZooError(f"{self.where}: {prefix}{name} is a {kind}, no tensor")
                found[prefix + name] = value
        return found

    def items(self, value: Any, prefix: str, kind: str) -> list[tuple[str, Any]]:
        """Return the items of a mapping of names that are not None."""
        value = {} if value is None else value
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise ZooError(f"{self.where}: {prefix}{kind} is not a mapping of names")
        self.left -= 1 + len(value)
        if self.left < 0:
            raise ZooError(f"{self.where}: the network has more than {_MOST_PARTS} parts")
        if any(len(prefix) + len(k) > _LONGEST_NAME or not k.isprintable() for k in value):
            raise ZooError(f"{self.where}: {prefix[:100]}{kind} has names that are none")
        return [(name, inner) for name, inner in value.items() if inner is not None]

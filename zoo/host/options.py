"""The options of a component: what its target takes beyond what every one of its kind is given."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from zoo.errors import PluginError
from zoo.host.hooks import KINDS
from zoo.host.registry import Found

_SECTION = re.compile(r"^(?:Args|Options):\n(?:[ ].*\n?|\n(?=[ ]))+", re.MULTILINE)


class Options(NamedTuple):
    """Options by name, and whether any other is taken too."""

    named: dict[str, inspect.Parameter]
    others: bool


def options_of(found: Found, target: Callable[..., object]) -> Options | None:
    """Return the options of `target`; None if it has no signature, as some written in C.

    Raises:
        PluginError: it does not take what every component of its kind is given.
    """
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return None
    kind = KINDS[found.kind]
    try:
        bound = signature.bind_partial(*kind.given, **dict.fromkeys(kind.named)).arguments
    except TypeError as error:
        raise PluginError(
            f"{found.label}: {found.component.target} does not take what every {found.kind[:-1]} "
            f"is given: {error}"
        ) from error
    free = {n: p for n, p in signature.parameters.items() if n not in bound}
    named = {n: p for n, p in free.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return Options(named, any(p.kind is p.VAR_KEYWORD for p in free.values()))


def documentation(target: Any) -> str:
    """Return the docstring of `target`, with the options of the class that it has them from."""
    own = inspect.getdoc(target) or ""
    if _SECTION.search(own + "\n"):
        return own
    for base in getattr(target, "__mro__", ())[1:]:
        if section := _SECTION.search(inspect.cleandoc(base.__doc__ or "") + "\n"):
            return f"{own}\n\n{section[0].rstrip()}"
    return own

"""Operators by name, as the command line has them: "downscale:2", "blur:1.5", "grey"."""

from __future__ import annotations

from collections.abc import Callable

from zoo.errors import ZooError, brief, did_you_mean
from zoo.interfaces import Operator
from zoo.posterior.images import Blur, Downscale, Grey

_NAMED: dict[str, Callable[[str], Operator]] = {
    "blur": lambda text: Blur(float(text)),
    "downscale": lambda text: Downscale(int(text)),
}


def named_operator(text: str) -> Operator:
    """Return the operator called "downscale:FACTOR", "blur:SIGMA" or "grey".

    Raises:
        ZooError: there is none of that name, or its number is none.
    """
    name, _, number = text.partition(":")
    if text == "grey":
        return Grey()
    if name not in _NAMED:
        raise ZooError(f"no operator {brief(text)}; {did_you_mean(name, [*_NAMED, 'grey'])}")
    try:
        return _NAMED[name](number)
    except ValueError:
        example = "blur:1.5" if name == "blur" else "downscale:2"
        raise ZooError(f"operator {brief(text)}; expected a number, such as {example}") from None

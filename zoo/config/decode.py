"""Errors of decoding, in one line, and the keys that a struct knows."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec
from msgspec import Struct

from zoo.errors import ZooError, did_you_mean, one_line


def explain(error: Exception, fields: tuple[str, ...]) -> str:
    """Return a decoding error as one line, with the closest known key for an unknown one."""
    text = one_line(error)
    if text.endswith("at `$.format`"):
        return f"{text}: of a newer fieldzoo than this; pip install -U fieldzoo"
    unknown = re.search(r"unknown field `([^`]*)`", text)
    if not unknown:
        return text
    known = "it belongs elsewhere" if unknown[1] in fields else did_you_mean(unknown[1], fields)
    return f"{text}; {known}"


def known_keys(kind: type[Struct]) -> tuple[str, ...]:
    """Return every key that a struct and the structs inside it know."""
    own = msgspec.structs.fields(kind)
    inner = (f.type for f in own if isinstance(f.type, type) and issubclass(f.type, Struct))
    return tuple(f.encode_name for f in own) + tuple(k for i in inner for k in known_keys(i))


def _check_plain(value: Any, path: str, where: str) -> None:
    """Check that a recipe holds what config.json can: finite numbers, text, lists, tables."""
    if isinstance(value, dict):
        for key, inner in value.items():
            name = key if key.isprintable() else repr(key)
            _check_plain(inner, f"{path}.{name}" if path else name, where)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            _check_plain(inner, f"{path}[{i}]", where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ZooError(f"{where}: {path} = {value}; numbers have to be finite")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ZooError(f"{where}: {path} is too large for a whole number of 64 bits")
    elif not isinstance(value, str | int | float | None):
        raise ZooError(f"{where}: {path} is a {type(value).__name__}; write it as text")

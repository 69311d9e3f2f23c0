"""Decoding what people write into structs, with errors in one line: "table.key = value: ..."."""

from __future__ import annotations

import math
import re
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Struct

from zoo.errors import ZooError, brief, did_you_mean, one_line

T = TypeVar("T", bound=Struct)

_MOST_VALUES, _DEEPEST = 100_000, 20
# msgspec's messages: what is wrong, and where.
_MESSAGE = re.compile(r"(?s)(.*?)(?: - at `(?:key` in `)?\$\.?([^`]*)`)?")


def decode(raw: Any, kind: type[T], where: str) -> T:
    """Return what JSON or TOML held, `raw`, as a struct; `where` names it in errors.

    Raises:
        ZooError: an unknown or missing key, a wrong type, an impossible value.
    """
    try:
        return msgspec.convert(raw, kind, dec_hook=_decode_own)
    except msgspec.ValidationError as error:
        raise ZooError(f"{where}: {_explain(str(error), raw, kind)}") from error


def _decode_own(kind: Any, value: Any) -> Any:
    """Return a Part or another of our own types, from what its `decode` reads."""
    return kind.decode(value)


def _explain(message: str, raw: Any, kind: type[Struct]) -> str:
    """Return msgspec's message in one line, with the closest known key or choice."""
    found = _MESSAGE.fullmatch(message)
    what, path = (found[1], found[2] or "") if found else (message, "")
    inside = f"{path}." if path else ""
    if key := re.match(r"(?s)Object (missing required|contains unknown) field `(.*)`", what):
        if key[1] == "missing required":
            return f"{inside}{key[2]} is missing"
        return f"unknown key {f'{inside}{key[2]}'!r}; {_place(key[2], path, kind)}"
    value = _value_at(path, raw)
    shown = "" if value is None or isinstance(value, dict | list) else f" = {value!r}"
    if what.startswith("Invalid enum value"):
        if path == "format":
            return f"format{shown}: of a newer fieldzoo than this; pip install -U fieldzoo"
        table, _, name = path.rpartition(".")
        choices = get_args(get_type_hints(_structs(kind)[table])[name])
        return f"{path}{shown}: no such choice; {did_you_mean(str(value), choices)}"
    plain = what[:1].lower() + what[1:].replace("`object`", "a table").replace("`", "")
    return one_line(ValueError(f"{path}{shown}: {plain}" if path else plain))


def _structs(kind: type[Struct], path: str = "") -> dict[str, type[Struct]]:
    """Return a struct and those inside it by their paths: {"": Config, "data": Data, ...}."""
    found = {path: kind}
    for f in msgspec.structs.fields(kind):
        if isinstance(f.type, type) and issubclass(f.type, Struct):
            found |= _structs(f.type, f"{path}.{f.encode_name}" if path else f.encode_name)
    return found


def _place(key: str, path: str, kind: type[Struct]) -> str:
    """Return where an unknown key belongs, or which key was meant."""
    structs = _structs(kind)
    for table, struct in reversed(structs.items()):
        if key in struct.__struct_fields__:
            return f"it belongs to {f'[{table}]' if table else 'the top of the file'}"
    if path in structs:
        return did_you_mean(key, structs[path].__struct_fields__)
    return "no such key is known there"


def _value_at(path: str, raw: Any) -> Any:
    """Return the value at a path such as "train.betas[1]"; None where there is none."""
    try:
        for step in re.findall(r"[^.\[\]]+", path):
            raw = raw[int(step)] if isinstance(raw, list) else raw[step]
    except (LookupError, TypeError, ValueError):
        return None
    return raw


def check_plain(raw: Any, where: str) -> None:
    """Check that a recipe holds what config.json can: finite numbers, text, lists, tables.

    Raises:
        ZooError: it does not, or holds more than 100,000 values or more than 20 tables in another.
    """
    left = _MOST_VALUES
    waiting: list[tuple[Any, str, int]] = [(raw, "", 0)]
    while waiting:
        value, path, depth = waiting.pop()
        if not isinstance(value, dict | list):
            _check_value(value, path, where)
            continue
        left -= len(value)
        if left < 0 or depth > _DEEPEST:
            raise ZooError(f"{where}: {path[:100]} holds more than a recipe has")
        if isinstance(value, dict):
            inner = [(v, _below(path, key, where), depth + 1) for key, v in value.items()]
        else:
            inner = [(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(value)]
        waiting += reversed(inner)


def _below(path: str, key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise ZooError(f"{where}: {f'{path}: ' if path else ''}{brief(key)} is no name of a key")
    name = key if key.isprintable() else repr(key)
    return f"{path}.{name}" if path else name


def _check_value(value: Any, path: str, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ZooError(f"{where}: {path} = {value}; numbers have to be finite")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ZooError(f"{where}: {path} is too large for a whole number of 64 bits")
    if not isinstance(value, str | int | float | None):
        raise ZooError(f"{where}: {path} is a {type(value).__name__}; write it as text")

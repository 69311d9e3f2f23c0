"""The numbers and settings that commands take."""

from __future__ import annotations

import json
from typing import Any

import click

from zoo.config import MAX_STEPS

COUNT = click.IntRange(min=1)
STEPS = click.IntRange(1, MAX_STEPS)


def key_value(text: str) -> tuple[str, Any]:
    """Return (key, value) of "KEY=VALUE", the value JSON where it parses, else the text."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise click.UsageError(f"--set {text!r}: expected KEY=VALUE, such as D=128")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value

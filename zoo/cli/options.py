"""Types of command line options that several commands share."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from zoo.config.model import MAX_STEPS

COUNT = click.IntRange(min=1)
STEPS = click.IntRange(1, MAX_STEPS)
PATH = click.Path(path_type=Path)
# An option whose help shows its default, if it has one.
option = partial(click.option, show_default=True)
device_option = option("--device", default="cpu", help="cpu, cuda, cuda:1, ...")


def numbers(_ctx: click.Context, param: click.Parameter, text: str | None) -> list[float]:
    """Return "0.1,0.2" as numbers; a callback of click."""
    try:
        return [float(part) for part in text.split(",")] if text else []
    except ValueError:
        raise click.BadParameter(f"{text!r}; expected numbers as in 8,6,5", param=param) from None


def integers(ctx: click.Context, param: click.Parameter, text: str | None) -> list[int]:
    """Return "8,6,5" as whole numbers of at least 1; a callback of click."""
    values = numbers(ctx, param, text)
    if any(not value.is_integer() or value < 1 for value in values):
        raise click.BadParameter(f"{text!r}; expected whole numbers as in 8,6,5", param=param)
    return [int(value) for value in values]


def names(_ctx: click.Context, _param: click.Parameter, text: str | None) -> list[str]:
    """Return "euler,heun" as names; a callback of click."""
    return [name.strip() for name in text.split(",")] if text else []


def key_value(text: str) -> tuple[str, Any]:
    """Return (key, value) of "KEY=VALUE", the value JSON where it parses, else the text."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise click.UsageError(f"--set {text!r}: expected KEY=VALUE, such as D=128")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value

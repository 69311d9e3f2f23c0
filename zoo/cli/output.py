"""Output of the commands: plain tables for people, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from tabulate import tabulate

from zoo.host.plugins import plugins


def echo_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table without truncation."""
    click.echo(tabulate(rows, headers, tablefmt="plain", disable_numparse=True))


def echo_json(value: object) -> None:
    """Print a value as indented JSON.

    In ASCII where the encoding of output lacks a character, or a terminal would obey one.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
        plain = text.replace("\n", "").isprintable()
    except UnicodeEncodeError:
        plain = False
    click.echo(text if plain else json.dumps(value, indent=2))


def warn_of_broken_plugins() -> None:
    """Print on stderr which plugins are broken, since a listing lacks their parts."""
    broken = sorted({record.name for record in plugins() if record.error is not None})
    if broken:
        click.echo(f"zoo: broken: {', '.join(broken)}; `zoo plugins` says why", err=True)


def megabytes(size: int) -> str:
    """Return a file size for people, "2.6 MB"."""
    return f"{size / 1e6:.1f} MB" if size else "-"


def shape(sizes: Sequence[int]) -> str:
    """Return a shape for people, "1x28x28"."""
    return "x".join(str(size) for size in sizes)


def ago(seconds: float) -> str:
    """Return an age for people, "3 hours ago"."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if (count := int(seconds // length)) >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "less than a minute ago"


def stem(ref: str) -> str:
    """Return the name of an output file for `ref`, which may be a folder such as "."."""
    parent = Path(ref).parent.name.strip(".")
    if Path(ref).name == "model" and parent:  # zoo train writes runs/NAME/model
        return parent
    return Path(ref).name.strip(".").replace(":", "-") or Path(ref).resolve().name

"""`zoo components`: the components at hand, kind by kind, and the options of one."""

from __future__ import annotations

import inspect
from typing import Any

import click

from zoo.cli.output import echo_json, echo_table, warn_of_broken_plugins
from zoo.host.build import documentation, options_of, target_of
from zoo.host.hooks import KINDS
from zoo.host.registry import Found, catalogue, find


@click.command()
@click.argument("kind", required=False)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kind: str | None, name: str | None, as_json: bool) -> None:
    """List the components of one KIND, or of all.

    KIND is kernels, priors, networks, solvers, formats or posteriors. With the NAME of one: its
    options, their defaults, and what it says of itself.
    """
    if kind and name:
        catalogue(kind)  # refuses a kind that there is not
        _show(find(kind, name), as_json)
        return
    kinds = [kind] if kind else [*KINDS]
    found = [(name, item) for each in kinds for name, item in catalogue(each).items()]
    if as_json:
        echo_json([_facts(name, item) for name, item in found])
        return
    rows = [
        (item.kind, name, item.plugin.name, item.plugin.origin, item.component.summary)
        for name, item in found
    ]
    echo_table(("kind", "name", "plugin", "distribution", "summary"), rows)
    warn_of_broken_plugins()


def _facts(name: str, item: Found) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "name": name,
        "plugin": item.plugin.name,
        "distribution": item.plugin.distribution,
        "version": item.plugin.version,
        "target": item.component.target,
        "summary": item.component.summary,
    }


def _show(item: Found, as_json: bool) -> None:
    target = target_of(item)
    options = options_of(item, target)
    named = {} if options is None else options.named
    if as_json:
        known = {
            name: {"required": True} if _is_required(p) else {"default": _plain(p.default)}
            for name, p in named.items()
        }
        echo_json(
            _facts(item.component.name, item)
            | {"options": known, "docstring": documentation(target)}
        )
        return
    click.echo(f"{item.component.name}: {item.component.summary}")
    click.echo(f"{item.component.target}, {item.plugin.name} ({item.plugin.origin})\n")
    rows = [(n, "(required)" if _is_required(p) else repr(p.default)) for n, p in named.items()]
    if options is not None and options.others:
        rows.append(("...", "others by name"))
    if rows:
        echo_table(("option", "default"), rows)
    else:
        click.echo("it tells no options" if options is None else "it takes no options")
    if text := documentation(target):
        click.echo(f"\n{text}")


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty


def _plain(value: object) -> object:
    """Return a default as JSON has it; what JSON has no word for as Python writes it."""
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)

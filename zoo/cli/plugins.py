"""`zoo plugins`: the installed plugins, their parts, and which are broken."""

from __future__ import annotations

from importlib import metadata

import click
import msgspec

from zoo.cli.output import ago, echo_json, echo_table
from zoo.host.plugins import PluginRecord, plugins
from zoo.host.targets import missing_targets
from zoo.models.names import broken_models


def _brings(record: PluginRecord) -> str:
    counts = {kind: len(found) for kind, found in record.components.items()}
    counts["models"] = len(record.models)
    words = (
        f"{count} {kind if count > 1 else kind[:-1]}" for kind, count in counts.items() if count
    )
    return ", ".join(words) or "-"


def _cause(record: PluginRecord) -> str:
    """Return why a plugin is broken, "" if it is not."""
    return record.cause or "; ".join([*missing_targets(record), *broken_models(record)])


def _as_json(record: PluginRecord) -> dict[str, object]:
    names = {kind: [c.name for c in found] for kind, found in record.components.items()}
    return {
        "name": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "value": record.value,
        "components": names,
        "models": [folder.name for folder in record.models],
        "error": _cause(record) or None,
    }


@click.command()
@click.option("--available", is_flag=True, help="List known plugins to install, from the Hub.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(available: bool, as_json: bool) -> None:
    """List the installed plugins: distribution, version, parts, and the cause if one is broken.

    ZOO_PLUGINS=a,b limits which plugins are loaded. With --available, list those that others
    publish; nothing is installed.
    """
    if available:
        _list_available(as_json)
        return
    records = plugins()
    if as_json:
        echo_json([_as_json(record) for record in records])
        return
    rows = [
        (
            record.name,
            record.distribution or "-",
            record.version or "-",
            _brings(record),
            f"broken: {cause}" if (cause := _cause(record)) else "ok",
        )
        for record in records
    ]
    echo_table(("name", "distribution", "version", "brings", "status"), rows)


def _list_available(as_json: bool) -> None:
    """Print what the Hub's list says; how old it is, where it was not asked for now, on stderr."""
    from zoo.hub.plugins import available_plugins

    found = available_plugins()
    if found.trouble:
        click.echo(f"zoo: as of {ago(found.age)}: {found.trouble}", err=True)
    if as_json:
        known = [(msgspec.to_builtins(p), _install(p.distribution)) for p in found.plugins]
        echo_json([facts | {"install": line} for facts, line in known])
        return
    if not found.plugins:
        click.echo(f"{found.repo} lists no plugins yet")
        return
    rows = [
        (
            p.distribution,
            p.brings,
            p.summary,
            "installed" if _is_installed(p.distribution) else _install(p.distribution),
        )
        for p in found.plugins
    ]
    echo_table(("distribution", "brings", "what it is", "to install"), rows)
    click.echo("\nA plugin runs its authors' code: install what you trust.")


def _install(distribution: str) -> str:
    return f"pip install {distribution}"


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True

"""`zoo plugins`: the installed plugins, their parts, and which are broken."""

from __future__ import annotations

import click

from zoo.cli.output import echo_json, echo_table
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the installed plugins: distribution, version, parts, and the cause if one is broken.

    ZOO_PLUGINS=a,b limits which plugins are loaded.
    """
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

"""`zoo list`: the available models."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase

import click

from zoo.cli.output import echo_json, echo_table, megabytes, shape, warn_of_broken_plugins
from zoo.errors import ZooError, did_you_mean
from zoo.models.names import ModelEntry, entries

_LEGEND = (
    "data: the shape of a sample; size: of the weights, - where the Hub has them; source: who "
    "brings the model. `zoo show NAME` says more of one."
)


def _size(entry: ModelEntry) -> int:
    files = entry.config.weights.files.values() if entry.config else ()
    return sum(file.size for file in files)


def _note(entry: ModelEntry) -> str:
    if entry.error:
        return f"broken: {entry.error}"
    return f"needs {', '.join(entry.needs)}" if entry.needs else ""


def _as_json(name: str, entry: ModelEntry) -> dict[str, object]:
    config = entry.config
    return {
        "name": name,
        "kernel": config and config.kernel.use,
        "network": config and config.network.use,
        "shape": config and [*config.data.shape],
        "size": _size(entry),
        "source": entry.source,
        "needs": [*entry.needs],
        "error": entry.error,
    }


@click.command()
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(pattern: str, as_json: bool) -> None:
    """List the models whose name matches PATTERN, such as "gravity-*".

    A model that needs a missing plugin is listed with the package to install. The size is that of
    the weights, - where they are on the Hub and are fetched when they are first needed.
    """
    known = entries()
    short = [entry.name for entry in known]
    named = [(e.name if short.count(e.name) == 1 else f"{e.source}:{e.name}", e) for e in known]
    found = [(name, entry) for name, entry in named if fnmatchcase(name, pattern)]
    if as_json:
        echo_json([_as_json(name, entry) for name, entry in found])
        return
    if not found and pattern != "*":
        raise ZooError(f"no model matches {pattern!r}; {did_you_mean(pattern, dict(named))}")
    rows = [
        (
            name,
            entry.config.kernel.use if entry.config else "-",
            shape(entry.config.data.shape) if entry.config else "-",
            megabytes(_size(entry)),
            entry.source,
            _note(entry),
        )
        for name, entry in found
    ]
    echo_table(("name", "kernel", "data", "size", "source", ""), rows)
    if rows and sys.stdout.isatty():
        click.echo(f"\n{_LEGEND}")
    warn_of_broken_plugins()

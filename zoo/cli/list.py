"""`zoo list`: the available models."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from zoo.cli.output import ago, echo_json, echo_table, megabytes, shape, warn_of_broken_plugins
from zoo.errors import ZooError, did_you_mean, shown
from zoo.host.requirements import requirement_is_met
from zoo.models.names import ModelEntry, entries

if TYPE_CHECKING:
    from zoo.hub.models import HubModel

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
    latent = entry.config and entry.config.data.latent
    needs = f"needs {', '.join(entry.needs)}" if entry.needs else ""
    return "; ".join(filter(None, [str(latent or ""), needs]))


def _as_json(name: str, entry: ModelEntry) -> dict[str, object]:
    config = entry.config
    return {
        "name": name,
        "kernel": config and config.kernel.use,
        "network": config and config.network.use,
        "shape": config and [*config.data.shape],
        "latent": config and config.data.latent and [*config.data.latent.shape],
        "size": _size(entry),
        "source": entry.source,
        "needs": [*entry.needs],
        "error": entry.error,
    }


@click.command()
@click.argument("pattern", default="*")
@click.option("--hub", is_flag=True, help="List the models on the Hugging Face Hub instead.")
@click.option("--format", help="With --hub: those in a format of another library, as diffusers.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(pattern: str, hub: bool, format: str | None, as_json: bool) -> None:
    """List the models whose name matches PATTERN, such as "gravity-*".

    A model that needs a missing plugin is listed with the package to install. The size is that of
    the weights, - where they are on the Hub and are fetched when they are first needed.
    """
    if hub:
        _list_hub(pattern, format, as_json)
        return
    if format is not None:
        raise ZooError("--format is of models on the Hub: zoo list --hub --format NAME")
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


def _list_hub(pattern: str, format: str | None, as_json: bool) -> None:
    """Print the Hub's models; what the Hub was not asked for is told on stderr."""
    from zoo.hub.catalogue import catalogue

    found = catalogue(pattern, format=format)
    if found.trouble:
        click.echo(f"zoo: as of {ago(found.age)}: {found.trouble}", err=True)
    if as_json:
        echo_json([_hub_json(model) for model in found.models])
        return
    if not found.models:
        which = "" if format is None else f" --format {format}"
        rest = "" if pattern == "*" else f"; `zoo list --hub{which}` has all"
        raise ZooError(f"no model on the Hub matches {pattern!r}{rest}")
    # Of a format, only what it recognises is one of its models.
    models = [model for model in found.models if format is None or model.kernel]
    rows = [
        (
            model.repo,
            model.kernel or "-",
            shape(model.shape) or "-",
            megabytes(model.size),
            "-" if model.downloads is None else str(model.downloads),
            _hub_note(model),
        )
        for model in models
    ]
    echo_table(("repository", "kernel", "data", "size", "downloads", ""), rows)
    if left := sum(not (model.looked or model.error) for model in found.models):
        click.echo(f"zoo: {left} not looked into yet: ask again, or narrower", err=True)
    if others := [model for model in found.models if model.error and model not in models]:
        click.echo(f"zoo: {len(others)} not read; --json says why", err=True)


def _hub_json(model: HubModel) -> dict[str, object]:
    return {
        "repo": model.repo,
        "commit": model.commit,
        "kernel": model.kernel or None,
        "network": model.network or None,
        "shape": [*model.shape],
        "latent": model.latent and [*model.latent.shape],
        "size": model.size,
        "downloads": model.downloads,
        "needs": [*_absent(model)],
        "seen": model.seen,
        "error": model.error or None,
    }


def _absent(model: HubModel) -> tuple[str, ...]:
    """Return what has to be installed for a model; what is no requirement as it is written."""

    def met(text: str) -> bool:
        try:
            return requirement_is_met(text)
        except ZooError:
            return False

    return tuple(shown(text, 60) for text in model.requires if not met(text))


def _hub_note(model: HubModel) -> str:
    if model.error:
        return f"broken: {model.error}" if model.looked else f"not read now: {model.error}"
    notes = [str(model.latent)] if model.latent else []
    notes += [f"needs {', '.join(needs)}"] if (needs := _absent(model)) else []
    return "; ".join(notes + ([f"weights of {shown(model.weights, 80)}"] if model.weights else []))

"""`zoo components`: the kernels, priors, networks and solvers at hand."""

from __future__ import annotations

import click

from zoo.cli.output import echo_json, echo_table, warn_of_broken_plugins
from zoo.hooks import KINDS
from zoo.registry import catalogue


@click.command()
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kind: str | None, as_json: bool) -> None:
    """List the components of one KIND (kernels, priors, networks, solvers), or of all."""
    kinds = [kind] if kind else [*KINDS]
    found = [(name, item) for each in kinds for name, item in catalogue(each).items()]
    if as_json:
        echo_json(
            [
                {
                    "kind": item.kind,
                    "name": name,
                    "plugin": item.plugin.name,
                    "distribution": item.plugin.distribution,
                    "version": item.plugin.version,
                    "target": item.component.target,
                    "summary": item.component.summary,
                }
                for name, item in found
            ]
        )
        return
    rows = [
        (item.kind, name, item.plugin.name, item.plugin.origin, item.component.summary)
        for name, item in found
    ]
    echo_table(("kind", "name", "plugin", "distribution", "summary"), rows)
    warn_of_broken_plugins()

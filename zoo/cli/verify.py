"""`zoo verify REF`: check the weights on this disk against config.json again."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import PATH, option
from zoo.cli.output import megabytes


@click.command()
@click.argument("ref")
@option("--cache-dir", type=PATH, help="Folder to use instead of the Hub's cache.")
def command(ref: str, cache_dir: Path | None) -> None:
    """Compute the sha256 of the weights of REF, offline, and compare with config.json."""
    from zoo.models.locate import verify

    files = verify(ref, cache_dir=cache_dir)
    for path, expected in files.items():
        click.echo(f"{path.name}  {megabytes(expected.size)}  sha256 {expected.sha256}  ok")
    if not files:
        click.echo(f"{ref} has no weight files")

"""`zoo new-plugin NAME`: write a package with parts of your own."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import option
from zoo.scaffold import LICENSES, PARTS, write_plugin


@click.command()
@click.argument("name")
@option(
    "--brings",
    multiple=True,
    type=click.Choice([*PARTS]),
    default=["kernel"],
    help="A kind of part; may be given several times.",
)
@option(
    "--license",
    "license",
    type=click.Choice([*LICENSES]),
    default="apache-2.0",
    help="License of the package.",
)
@click.option("--author", default="", help="Your name, for pyproject.toml and the license.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="Folder to write it into [this one].",
)
def command(name: str, brings: tuple[str, ...], license: str, author: str, folder: Path) -> None:
    """Write the package zoo-NAME, a plugin that works and passes its tests as it is."""
    target = write_plugin(name, brings=brings, license=license, author=author, folder=folder)
    where = target if target.is_absolute() else f"./{target}"
    click.echo(f"wrote {target}; next: pip install -e '{where}[test]', then zoo check {name}")

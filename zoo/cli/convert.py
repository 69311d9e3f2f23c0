"""`zoo convert FILE OUT`: a checkpoint of another library as a model folder."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from zoo.cli.options import PATH, key_value, option


@click.command()
@click.argument("file", type=PATH)
@click.argument("out", type=PATH)
@option("--set", "options", multiple=True, help="KEY=VALUE, an option of the format.")
@option("--format", help="Name of the format, where two know the file.")
@option("--license", help="License of the weights, where the file does not tell it.")
def command(
    file: Path, out: Path, options: tuple[str, ...], format: str | None, license: str | None
) -> None:
    """Write the model in FILE, a checkpoint of another library, as the model folder OUT.

    FILE is read as data: nothing in it is run. `zoo components formats` lists what is read, with
    NAME the options of one; values are JSON or plain text.
    """
    from zoo.folder.read import read_config
    from zoo.models.convert import convert

    given = dict(map(key_value, options))
    folder = convert(file, out, format=format, license=license, **given)
    kernel = read_config(folder).kernel
    shown = "".join(f", {k} = {v}" for k, v in kernel.options.items() if k in given)
    ref = str(folder) if folder.is_absolute() else f"./{folder}"
    click.echo(f"{out}: kernel {kernel.use}{shown}; try `zoo sample {shlex.quote(ref)}`")

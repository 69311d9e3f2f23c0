"""`zoo convert FILE OUT`: weights of EDM, PFGM, ... from a file of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("-D", "--degrees", type=float, help="D of PFGM++, where the file does not tell it.")
@click.option("--side", type=int, help="Side of the images in pixels, for .pth files.")
@click.option("--licence", help="Licence of the weights, where the file does not tell it.")
def command(
    file: Path, out: Path, degrees: float | None, side: int | None, licence: str | None
) -> None:
    """Write the network in FILE, of EDM, PFGM, PFGM++ or score SDE, as the model folder OUT.

    FILE is read as data: nothing in it is run. A file without D is EDM's, under the Gaussian
    kernel; PFGM++'s networks need theirs.
    """
    from zoo.convert import convert
    from zoo.folder.read import read_config

    folder = convert(file, out, degrees=degrees, side=side, licence=licence)
    kernel = read_config(folder).kernel
    told = f", D = {kernel.options['D']:g}" if "D" in kernel.options else ""
    ref = str(folder) if folder.is_absolute() else f"./{folder}"
    click.echo(f"{out}: kernel {kernel.use}{told}; try `zoo sample {shlex.quote(ref)}`")

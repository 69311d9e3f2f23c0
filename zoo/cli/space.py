"""`zoo space OUT [NAME ...]`: the live page with models, as a static Hugging Face Space."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import PATH


@click.command()
@click.argument("out", type=PATH)
@click.argument("refs", metavar="[NAME]...", nargs=-1)
def command(out: Path, refs: tuple[str, ...]) -> None:
    """Write a page that draws fields, and runs the models NAME, in the browser, into OUT.

    By default the zoo's models of garments. The folder is a static Hugging Face Space: upload it as
    it is, or try it with `python -m http.server -d OUT`. npm fetches ONNX Runtime for it.
    """
    from zoo.exporting.space import MODELS, space

    models = refs or MODELS
    folder = space(out, models)
    click.echo(f"{folder}: {', '.join(models)}; try `python -m http.server -d {folder}`")

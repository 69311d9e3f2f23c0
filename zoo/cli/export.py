"""`zoo export NAME OUT`: a model's denoiser or sampler as a graph that runs without the zoo."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import PATH, STEPS, option
from zoo.cli.output import megabytes


@click.command()
@click.argument("ref", metavar="NAME")
@click.argument("out", type=PATH)
@option("--format", default="onnx", help="onnx, or torch for a .pt2 file of torch.export.")
@option("--what", default="denoiser", help="denoiser, or sampler: every step in one graph.")
@option("--steps", type=STEPS, help="Of the sampler; the model's default if not given.")
def command(ref: str, out: Path, format: str, what: str, steps: int | None) -> None:
    """Write the model NAME as a graph, with a manifest and a README.md, into the new folder OUT.

    The denoiser takes (x, t) and returns E[x_0 | x_t]; the sampler takes noise and returns data.
    """
    from zoo.exporting.export import FORMATS, export

    folder = export(ref, out, format=format, what=what, steps=steps)
    size = (folder / FORMATS[format][0]).stat().st_size
    click.echo(f"{out}: the {what} of {ref}, {megabytes(size)}; README.md says how to run it")

"""`zoo ema RUN --length 0.05`: weights averaged over another length, after the training."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import PATH, option
from zoo.errors import ZooError


@click.command()
@click.argument("run", type=PATH)
@option("--length", type=float, required=True, help="Relative length of the average, e.g. 0.05.")
@option("-o", "--out", type=PATH, help="Folder of the model [RUN/model-ema-LENGTH].")
def command(run: Path, length: float, out: Path | None) -> None:
    """Write the model of RUN with its weights averaged over another length.

    RUN is the folder of a training whose recipe has train.ema_lengths. The length is the standard
    deviation of the average's weight over the time trained (sigma_rel of arXiv:2312.02696);
    `zoo eval` says which is best.
    """
    import torch

    from zoo.training.posthoc import average

    target = out or run / f"model-ema-{length:g}"
    if target.exists():
        raise ZooError(f"{target} exists already; name another folder with -o")
    found = average(run, length)
    assert found.model.config is not None, "it comes from a folder"
    recipe = found.model.config.training.recipe or {}
    name = str(recipe.get("name") or target.resolve().name)
    found.model.write(target, name=name, dtype=torch.float16)
    click.echo(
        f"{target}: relative length {length:g}, of {found.snapshots} snapshots; its profile is "
        f"{found.error:.2%} off"
    )

"""`zoo sample NAME`: draw samples into an image or an .npz file.

torchrun --nproc-per-node 2 -m zoo sample NAME -n 64 -o grid.png
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import COUNT, PATH, STEPS, device_option, option
from zoo.cli.output import stem

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.models.model import FieldModel

_NO_WALK = "in Python: model.latents.trajectory(...) is the walk of their latents"
DTYPE = click.Choice(["float32", "float64", "bfloat16", "float16"])


@click.command()
@click.argument("ref", metavar="NAME")
@option("-n", "count", type=COUNT, default=64, help="Number of samples.")
@option("-o", "--out", type=PATH, help="FILE.png, .npz, .csv or .parquet [NAME.png].")
@option("--film", type=PATH, help="FILE.gif or FILE.webp: the walk from noise to the samples.")
@option("--steps", type=STEPS, help="Solver steps; the model's default if not given.")
@option("--kernel", help="Another kernel, for a model trained under a Gaussian one.")
@option("--solver", help="Another solver, see `zoo components solvers`.")
@option("--seed", type=int, default=0, help="Sample i depends on it and i.")
@option("--batch-size", type=COUNT, help="Samples at a time.")
@option("--label", help="Class to draw from, where there are some: its name, or its number.")
@option(
    "--condition",
    type=PATH,
    help="FILE.npy, .npz, .csv or .parquet: what samples are given, one for all or for each.",
)
@option(
    "--guidance",
    type=float,
    help="How closely to follow --label and --condition, or how far from --guide; 1 is plain.",
)
@option("--guide", help="A worse model of the same data, to be led away from its errors.")
@option(
    "--guidance-interval",
    type=(float, float),
    metavar="LOW HIGH",
    help="Noise levels at which to guide.",
)
@device_option
@option("--dtype", type=DTYPE, default="float32", help="Precision of the network.")
def command(
    ref: str,
    count: int,
    out: Path | None,
    film: Path | None,
    steps: int | None,
    kernel: str | None,
    solver: str | None,
    seed: int,
    batch_size: int | None,
    label: str | None,
    condition: Path | None,
    guidance: float | None,
    guide: str | None,
    guidance_interval: tuple[float, float] | None,
    device: str,
    dtype: str,
) -> None:
    """Draw samples from the model NAME (or owner/name on the Hub, or ./folder).

    Started by torchrun, several processes share the work; the first writes.
    """
    if guide is not None and guidance is None:
        raise click.UsageError("--guide needs --guidance, such as 2")
    import torch

    from zoo.data.condition_file import read_condition
    from zoo.folder.picture import check_target, default_suffix, write_samples
    from zoo.models.load import load
    from zoo.models.parts import refuse_images
    from zoo.models.sharded import sample_sharded
    from zoo.sampling.distributed import connect

    with connect(device) as context, context.errors_from_main():
        precision = getattr(torch, dtype)
        model = context.main_process_first(
            lambda: load(ref, kernel=kernel, device=context.device, dtype=precision)
        )
        if film is not None:
            refuse_images(model, "--film, the walk,", _NO_WALK)
        known = model.guidance is not None
        if guidance not in (None, 1.0) and not known and {label, condition, guide} == {None}:
            raise click.UsageError("--guidance follows a class; name it with --label, or --guide")
        suffix = default_suffix(model.shape, table=bool(model.data.columns))
        target = out or Path(stem(ref) + suffix)
        check_target(target, model.shape)
        given = None if condition is None else read_condition(condition, model.condition)
        options: dict[str, Any] = {
            "steps": steps,
            "solver": solver,
            "seed": seed,
            "batch_size": batch_size,
            "labels": class_of(label, model.classes),
            "condition": given,
            "guidance": guidance,
            "guide": guide,
            "guidance_interval": guidance_interval,
            "progress": context.is_main,
        }
        samples: Tensor | None
        if film is not None:
            samples = _sample_film(model, film, count, context.size, options)
        else:
            samples = sample_sharded(model, context, count, **options)
        if samples is not None:
            write_samples(target, samples, model.data)
            under = f" under the kernel {kernel}" if kernel else ""
            click.echo(f"{target}: {count} samples of {ref}{under}, seed {seed}")


def _sample_film(
    model: FieldModel, film: Path, count: int, processes: int, options: Mapping[str, Any]
) -> Tensor:
    """Return samples, and write their walk; the same samples as without."""
    from zoo.plotting.animation import check_film, write_film

    if processes > 1:
        raise click.UsageError("--film is drawn by one process; start it without torchrun")
    check_film(film, model.shape)
    walk = model.trajectory(count, **options)
    write_film(film, walk)
    click.echo(f"{film}: {len(walk.t)} states of the walk")
    return walk.samples


def class_of(label: str | None, names: Sequence[str]) -> str | int | None:
    """Return a class as `sample` takes it: a name goes before a number."""
    if label is None or label in names:
        return label
    try:
        return int(label)
    except ValueError:
        return label

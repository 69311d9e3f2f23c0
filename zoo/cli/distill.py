"""`zoo distill NAME`: a few-step student of a model."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from zoo.cli.options import COUNT, PATH, device_option, option
from zoo.cli.output import echo_json
from zoo.config.distilled import MOST
from zoo.errors import ZooError


@click.command()
@click.argument("ref", metavar="NAME")
@option("-o", "--out", type=PATH, required=True, help="Folder of the student.")
@option("--evaluations", type=click.IntRange(1, MOST), default=2, help="Of a sample, 1 to 16.")
@option("--minutes", type=float, help="How long to train, about [10].")
@option("--images", type=COUNT, help="Starts to train on, with repetitions; not --minutes.")
@option("--guidance", type=float, help="Of the teacher's samples [its own].")
@option("--batch", type=COUNT, help="Starts in a step [512 rows, 64 images].")
@option("--lr", type=float, default=1e-3, help="Peak learning rate.")
@option("--precision", default="float32", help="bf16: faster where the machine knows it.")
@option("--seed", type=int, default=0, help="Of the starts and batches.")
@device_option
@option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def command(
    ref: str,
    out: Path,
    evaluations: int,
    minutes: float | None,
    images: int | None,
    guidance: float | None,
    batch: int | None,
    lr: float,
    precision: str,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Train a student of the model NAME, whose samples take few evaluations of its network.

    It begins with the weights of NAME and learns, together with its steps, where the ODE of NAME
    ends. It has no field: no encode, no likelihood, no posterior. Nothing is written until it is
    done, nor where it is no better than NAME itself by as many steps, by two standard errors. Its
    weights are written as float16.
    """
    if minutes is not None and images is not None:
        raise click.UsageError("--minutes and --images both say how long; leave one out")
    from msgspec import to_builtins

    from zoo.folder.atomic import check_free
    from zoo.models.load import load
    from zoo.sampling.distributed import parse_device
    from zoo.training.distill import distill

    check_free(out)
    student = distill(
        load(ref, device=parse_device(device)),
        evaluations=evaluations,
        minutes=minutes,
        images=images,
        guidance=guidance,
        batch=batch,
        lr=lr,
        precision=precision,
        seed=seed,
    )
    known = student.distilled
    assert known is not None
    if not known.better:
        raise ZooError(
            f"no student better than {ref} itself by as many steps was found, so {out} is not "
            "written; train longer, or with a smaller --lr"
        )
    target = student.save_pretrained(out, dtype="float16")
    if as_json:
        echo_json({"folder": str(target), **to_builtins(known)})
        return
    name = target.as_posix() if target.is_absolute() else f"./{target.as_posix()}"
    click.echo(
        f"{target}: {known}; held-out samples are {known.error:.3g} from its teacher's, "
        f"{known.error_before:.3g} before training; "
        f"try `zoo sample {shlex.quote(name)} -n 64`"
    )

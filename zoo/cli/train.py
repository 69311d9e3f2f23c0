"""`zoo train RECIPE`: train a model, write its folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.options import PATH, device_option, option
from zoo.config.model import unit_of

if TYPE_CHECKING:
    from zoo.sampling.distributed import DistributedContext
    from zoo.training.plan import Plan


@click.command()
@click.argument("recipe")
@option("-o", "--out", type=PATH, help="Folder of the run [runs/NAME].")
@option("--data", help="Train on this data set instead: fashion-mnist, folder:PATH, ...")
@option("--resume", is_flag=True, help="Go on from the run's last checkpoint, exactly.")
@option("--stop", is_flag=True, help="With --resume: make a model of that checkpoint, and end.")
@device_option
@option("--dry-run", is_flag=True, help="Print the plan, time 20 steps, keep nothing.")
def command(
    recipe: str,
    out: Path | None,
    data: str | None,
    resume: bool,
    stop: bool,
    device: str,
    dry_run: bool,
) -> None:
    """Train the model of RECIPE, a .toml file, a model's config.json or a bundled recipe's name.

    The run's folder gets checkpoint.pt and log.jsonl while it runs and, at the end, model/: card,
    config.json and model.safetensors, ready for `zoo sample` and `zoo push`. Several processes
    train together under `torchrun --nproc-per-node K -m zoo train RECIPE`.
    """
    if stop and (dry_run or not resume):
        raise click.UsageError("--stop makes a model of a run's checkpoint: say --resume --stop")
    if dry_run and resume:
        raise click.UsageError("--dry-run tries steps of a new run; leave --resume out")
    from zoo.sampling.distributed import connect
    from zoo.training.plan import make_plan
    from zoo.training.recipes import load_recipe

    with connect(device) as context:
        plan = context.main_process_first(
            lambda: make_plan(load_recipe(recipe), data, processes=context.size)
        )
        folder = out or Path("runs") / plan.recipe.name
        if context.is_main:
            unit = unit_of(plan.data.shape)
            click.echo(
                f"{plan.recipe.name}: {plan.parameters:,} parameters, {len(plan.data):,} samples "
                f"of {plan.data.name}, {plan.recipe.train.images:,} {unit} in batches of "
                f"{plan.recipe.train.batch}"
            )
        with context.errors_from_main():
            if dry_run:
                _estimate(plan, folder, context)
            else:
                _run(plan, folder, context, resume=resume, stop=stop)


def _estimate(plan: Plan, folder: Path, context: DistributedContext) -> None:
    """Print the rest of the plan and, after some steps that leave nothing behind, its time."""
    from zoo.training.start import trainer_of
    from zoo.training.trainer import TIMED_STEPS, duration, seconds_per_step

    trainer = trainer_of(plan, folder, context)
    train, unit = plan.recipe.train, unit_of(plan.data.shape)
    if context.is_main:
        parts = context.size * train.accumulate
        click.echo(
            f"  {trainer.steps:,} steps, {train.precision}{', compiled' * train.compile}, on "
            f"{context.size} x {context.device.type}, {train.batch // parts} {unit} at a time\n"
            f"  output: {folder / 'model'}"
        )
    seconds = seconds_per_step(trainer)
    if context.is_main:
        timed = min(TIMED_STEPS, trainer.steps)
        click.echo(
            f"  about {duration(seconds * trainer.steps)} at {train.batch / seconds:,.0f} {unit}/s "
            f"({timed} steps tried; pictures and checkpoints not counted)"
        )


def _run(
    plan: Plan, folder: Path, context: DistributedContext, *, resume: bool, stop: bool
) -> None:
    """Train to the end, or no further, and write the model's folder."""
    from zoo.training.export import export
    from zoo.training.run import run_plan

    try:
        trainer = run_plan(plan, folder, context, resume=resume, stop=stop)
    except KeyboardInterrupt as interrupt:
        if interrupt.args:
            click.echo(
                f"zoo: {interrupt}; go on with --resume, or make a model of it with "
                "--resume --stop",
                err=True,
            )
        raise
    if not context.is_main:
        return
    if trainer.skipped:
        click.echo(
            f"zoo: {trainer.skipped:,} of {trainer.steps:,} steps were not finite and left out",
            err=True,
        )
    if trainer.recipe.license is None:
        click.echo(
            'zoo: the recipe states no license for the weights; write one, such as license = "mit",'
            " at its top before you publish them",
            err=True,
        )
    target = export(trainer)
    ref = target.as_posix() if target.is_absolute() else f"./{target.as_posix()}"
    click.echo(f"{target}: try `zoo sample {shlex.quote(ref)}`")

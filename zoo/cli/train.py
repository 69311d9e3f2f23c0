"""`zoo train RECIPE`: train a model, write its folder."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from zoo.train.loop import Trainer
    from zoo.train.run import Plan
    from zoo.world import World


@click.command()
@click.argument("recipe")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder of the run [runs/NAME].")
@click.option("--data", help="Train on this data set instead: fashion-mnist, folder:PATH, ...")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint, exactly.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option("--dry-run", is_flag=True, help="Print the plan, time 20 steps, keep nothing.")
def command(
    recipe: str, out: Path | None, data: str | None, resume: bool, device: str, dry_run: bool
) -> None:
    """Train the model of RECIPE, a .toml file, a model's config.json or a bundled recipe's name.

    The run's folder gets checkpoint.pt and log.jsonl while it runs and, at the end, model/: card,
    config.json and model.safetensors, ready for `zoo sample` and `zoo push`. Several processes
    train together under `torchrun --nproc-per-node K -m zoo train RECIPE`.
    """
    from zoo.world import connect

    with connect(device) as world:
        _train(recipe, out, data, world, resume=resume, dry_run=dry_run)


def _train(
    recipe: str, out: Path | None, data: str | None, world: World, *, resume: bool, dry_run: bool
) -> None:
    from zoo.config.recipe import load_recipe
    from zoo.train.export import export
    from zoo.train.run import make_plan, start

    plan = world.in_turn(lambda: make_plan(load_recipe(recipe), data, processes=world.size))
    folder = out or Path("runs") / plan.recipe.name
    if world.first:
        click.echo(
            f"{plan.recipe.name}: {plan.parameters:,} parameters, {len(plan.data):,} samples of "
            f"{plan.data.name}, {plan.recipe.train.images:,} images in batches of "
            f"{plan.recipe.train.batch}"
        )
    if dry_run:
        _estimate(plan, folder, world)
        return
    trainer = world.in_turn(lambda: start(plan, folder, resume=resume, world=world))
    with world.together():
        _run(trainer)
    if world.first:
        if trainer.skipped:
            click.echo(
                f"zoo: {trainer.skipped:,} of {trainer.steps:,} steps were not finite and left out",
                err=True,
            )
        target = export(trainer)
        ref = str(target) if target.is_absolute() else f"./{target}"
        click.echo(f"{target}: try `zoo sample {shlex.quote(ref)}`")


def _estimate(plan: Plan, folder: Path, world: World) -> None:
    """Print the rest of the plan and, after some steps that leave nothing behind, its time."""
    from zoo.train.estimate import STEPS, duration, seconds_per_step
    from zoo.train.run import trainer_of

    trainer, train = trainer_of(plan, folder, world), plan.recipe.train
    if world.first:
        parts = world.size * train.accumulate
        click.echo(
            f"  {trainer.steps:,} steps, {train.precision}{', compiled' * train.compile}, on "
            f"{world.size} x {world.device.type}, {train.batch // parts} images at a time\n"
            f"  output: {folder / 'model'}"
        )
    seconds = seconds_per_step(trainer)
    if world.first:
        timed = min(STEPS, trainer.steps)
        click.echo(
            f"  about {duration(seconds * trainer.steps)} at {train.batch / seconds:,.0f} images/s "
            f"({timed} steps tried; pictures and checkpoints not counted)"
        )


def _run(trainer: Trainer) -> None:
    """Train to the end, with a progress bar on the first process."""
    from tqdm import tqdm

    batch = trainer.recipe.train.batch
    with tqdm(
        total=trainer.steps * batch,
        initial=trainer.step * batch,
        unit="img",
        unit_scale=True,
        disable=None if trainer.world.first else True,
    ) as bar:

        def progress(step: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", skipped=trainer.skipped, refresh=False)
            bar.update(step * batch - bar.n)

        try:
            with _ending_its_step(trainer):
                trainer.run(progress)
        except KeyboardInterrupt:
            if trainer.stopping:
                bar.close()
                click.echo(
                    f"zoo: stopped after step {trainer.step:,}; go on with --resume", err=True
                )
            raise


@contextmanager
def _ending_its_step(trainer: Trainer) -> Iterator[None]:
    """Let one Ctrl-C end the training after the step under way, and a second one at once.

    Not where several processes train together: they would stop at different steps.
    """
    if trainer.world.size > 1:
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        trainer.stopping = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

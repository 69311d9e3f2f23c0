"""`zoo train RECIPE`: train a model, write its folder."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("recipe")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder of the run [runs/NAME].")
@click.option("--data", help="Train on this data set instead: fashion-mnist, folder:PATH, ...")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint, exactly.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
def command(
    recipe: str, out: Path | None, data: str | None, resume: bool, device: str, dry_run: bool
) -> None:
    """Train the model of RECIPE, a .toml file or the name of a bundled recipe.

    The run's folder gets checkpoint.pt and log.jsonl while it runs and, at the end, model/: card,
    config.json and model.safetensors, ready for `zoo sample` and `zoo push`.
    """
    from tqdm import tqdm

    from zoo.device import parse_device
    from zoo.recipe import load_recipe
    from zoo.train.run import make_plan, start

    where = parse_device(device)
    plan = make_plan(load_recipe(recipe), data)
    plan_line = (
        f"{plan.recipe.name}: {plan.parameters:,} parameters, {len(plan.data):,} samples of "
        f"{plan.data.name}, {plan.recipe.train.images:,} images in batches of "
        f"{plan.recipe.train.batch}"
    )
    click.echo(plan_line)
    if dry_run:
        return
    folder = out or Path("runs") / plan.recipe.name
    trainer = start(plan, folder, resume=resume, device=where)
    batch = plan.recipe.train.batch
    with tqdm(
        total=trainer.steps * batch,
        initial=trainer.step * batch,
        unit="img",
        unit_scale=True,
        disable=None,
    ) as bar:

        def progress(step: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", skipped=trainer.skipped, refresh=False)
            bar.update(step * batch - bar.n)

        trainer.run(progress)
    from zoo.train.export import export

    target = export(trainer)
    ref = str(target) if target.is_absolute() else f"./{target}"
    click.echo(f"{target}: try `zoo sample {ref}`")

"""`zoo sample NAME`: draw samples into an image or an .npz file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("ref", metavar="NAME")
@click.option("-n", "count", type=int, default=64, show_default=True, help="Number of samples.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="FILE.png or FILE.npz [NAME.png].")
@click.option("--steps", type=int, help="Solver steps; the model's default if not given.")
@click.option("--solver", help="Another solver, see `zoo components solvers`.")
@click.option("--seed", type=int, default=0, show_default=True, help="Sample i depends on it and i.")
@click.option("--batch-size", type=int, help="Samples at a time.")
@click.option("--label", type=int, help="Class to draw from, where the model has classes.")
@click.option("--guidance", type=float, default=1.0, show_default=True, help="1 is none.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
def command(
    ref: str,
    count: int,
    out: Path | None,
    steps: int | None,
    solver: str | None,
    seed: int,
    batch_size: int | None,
    label: int | None,
    guidance: float,
    device: str,
) -> None:
    """Draw samples from the model NAME (or owner/name on the Hub, or ./folder)."""
    from zoo.device import parse_device
    from zoo.loading import load
    from zoo.picture import default_suffix, write_samples

    model = load(ref, device=parse_device(device))
    target = out or Path(Path(ref).name.replace(":", "-") + default_suffix(model.shape))
    samples = model.sample(
        count,
        steps=steps,
        solver=solver,
        seed=seed,
        batch_size=batch_size,
        labels=label,
        guidance=guidance,
        progress=True,
    )
    write_samples(target, samples)
    click.echo(f"{target}: {count} samples of {ref}, seed {seed}")

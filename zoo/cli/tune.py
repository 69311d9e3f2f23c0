"""`zoo tune NAME`: a time grid made for one model, by its own trajectories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo.cli.options import COUNT, PATH, device_option, option
from zoo.cli.output import echo_json
from zoo.config.model import MAX_STEPS
from zoo.errors import ZooError

_STEPS = click.IntRange(2, MAX_STEPS)
_LEARN = click.Choice(["coefficients", "grid", "both"])


@click.command()
@click.argument("ref", metavar="NAME")
@option("--solver", help="Tune this solver's grid, e.g. exp-abm3 [the model's own].")
@option("--steps", type=_STEPS, help="Steps to tune for [the model's own].")
@option("--learn", type=_LEARN, help="Learn a solver by gradient; it is for --steps alone.")
@option("--minutes", type=float, default=10.0, help="Of --learn at most.")
@option("--label", help="Class to learn for, of --learn [all of them in turn].")
@option("--guidance", type=float, help="Of --learn, as for `zoo sample` [the model's own].")
@option("-n", "count", type=COUNT, help="Samples to look at [64; of --learn 1024 rows].")
@option("--rounds", type=COUNT, default=150, help="Grids to try at most.")
@option("--seed", type=int, default=0, help="Seed of the samples.")
@device_option
@option("-o", "--out", type=PATH, help="Write the model, tuned, here.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    ref: str,
    solver: str | None,
    steps: int | None,
    learn: str | None,
    minutes: float,
    label: str | None,
    guidance: float | None,
    count: int | None,
    rounds: int,
    seed: int,
    device: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Look for the time grid with which the model NAME needs the fewest steps.

    Prints the error of its samples against converged ones, with the solver's own grid and with the
    one found, on samples that the search has not seen. With -o the model is written with the new
    solver as its default. With --learn a solver's weights, its grid or both are learned.
    """
    if learn is not None and solver is not None:
        raise click.UsageError("--learn makes a solver of its own; leave --solver out")
    if learn is None and (label is not None or guidance is not None):
        raise click.UsageError("--label and --guidance belong to --learn")
    from zoo.cli.sample import class_of
    from zoo.evaluation.learn import learn_solver
    from zoo.evaluation.tune import adopt, optimise_grid
    from zoo.folder.atomic import check_new
    from zoo.models.load import load
    from zoo.sampling.distributed import parse_device

    if out is not None:
        check_new(out)
    model = load(ref, device=parse_device(device))
    common: dict[str, Any] = {"steps": steps, "n": count, "seed": seed, "rounds": rounds}
    common["progress"] = not as_json
    if learn is None:
        tuned = optimise_grid(model, solver=solver, **{**common, "n": count or 64})
    else:
        labels = class_of(label, model.classes)
        given: dict[str, Any] = {"labels": labels, "guidance": guidance, "minutes": minutes}
        tuned = learn_solver(model, learn=learn, **given, **common)
    part, better = tuned.solver.part, tuned.after < tuned.before
    use = part.use if part is not None else ""
    # One is done even where the other fails: the disk is full, or nobody reads the output.
    try:
        if as_json:
            fields = ("steps", "levels", "before", "after")
            echo_json({"solver": use, **{name: getattr(tuned, name) for name in fields}})
        else:
            click.echo(f"{use}, {tuned.steps} steps: error {tuned.before:.3g} -> {tuned.after:.3g}")
            click.echo("levels " + " ".join(f"{level:.4g}" for level in tuned.levels))
    finally:
        if out is not None and better:
            adopt(model, tuned)
            model.save_pretrained(out)
    if out is None:
        return
    if not better:
        raise ZooError(
            f"no {'solver' if learn else 'grid'} better than {ref}'s own was found, so {out} is "
            "not written; try more rounds or samples"
        )
    if not as_json:
        click.echo(f"{out}: {ref} with this solver as its default")

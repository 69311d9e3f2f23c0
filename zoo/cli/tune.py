"""`zoo tune NAME`: a time grid made for one model, by its own trajectories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import COUNT, PATH, device_option, option
from zoo.cli.output import echo_json
from zoo.config.model import MAX_STEPS
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.evaluation.tune import Tuned

_STEPS = click.IntRange(2, MAX_STEPS)
_LEARN = click.Choice(["coefficients", "grid", "both"])


@click.command()
@click.argument("ref", metavar="NAME")
@option("--solver", help="Tune this solver's grid, e.g. exp-abm3 [the model's own].")
@option("--steps", type=_STEPS, help="Steps to tune for [the model's own].")
@option("--learn", type=_LEARN, help="Learn a solver by gradient; it is for --steps alone.")
@option("--minutes", type=float, help="How long it may take, about, of --learn [10].")
@option("--label", help="Class to learn for, of --learn [all of them in turn].")
@option("--guidance", type=float, help="Of --learn, as for `zoo sample` [the model's own].")
@option("-n", "count", type=COUNT, help="Samples to look at [64; of --learn 1024 rows].")
@option("--rounds", type=COUNT, default=150, help="Grids to try, or gradient steps, at most.")
@option("--seed", type=int, default=0, help="Seed of the samples.")
@device_option
@option("-o", "--out", type=PATH, help="Write the model, tuned, here.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    ref: str,
    solver: str | None,
    steps: int | None,
    learn: str | None,
    minutes: float | None,
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
    solver as its default. With --learn a solver's coefficients, its grid or both are learned.
    """
    if learn is not None and solver is not None:
        raise click.UsageError("--learn makes a solver of its own; leave --solver out")
    if learn is None and any(v is not None for v in (label, guidance, minutes)):
        raise click.UsageError("--label, --guidance and --minutes belong to --learn")
    from zoo.cli.sample import class_of
    from zoo.evaluation.learn import learn_solver
    from zoo.evaluation.tune import adopt, optimise_grid
    from zoo.folder.atomic import check_new
    from zoo.models.load import load
    from zoo.sampling.distributed import parse_device

    if out is not None:
        check_new(out)
    model = load(ref, device=parse_device(device))
    common: dict[str, Any] = {"steps": steps, "seed": seed, "rounds": rounds}
    common["progress"] = not as_json
    if learn is None:
        tuned = optimise_grid(model, solver=solver, n=count or 64, **common)
    else:
        given: dict[str, Any] = {} if minutes is None else {"minutes": minutes}
        given |= {"labels": class_of(label, model.classes), "guidance": guidance}
        tuned = learn_solver(model, learn=learn, n=count, **given, **common)
    better = tuned.after < tuned.before
    # One is done even where the other fails: the disk is full, or nobody reads the output.
    try:
        _echo(tuned, as_json)
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


def _echo(tuned: Tuned, as_json: bool) -> None:
    """Print what was found, every option of the solver."""
    part = tuned.solver.part
    use, options = ("", {}) if part is None else (part.use, part.options)
    if as_json:
        fields = ("steps", "levels", "before", "after")
        told = {name: getattr(tuned, name) for name in fields}
        echo_json({"solver": use, "options": options, **told})
        return
    click.echo(f"{use}, {tuned.steps} steps: error {tuned.before:.3g} -> {tuned.after:.3g}")
    click.echo("levels " + " ".join(f"{level:.4g}" for level in tuned.levels))
    for name in sorted(options.keys() - {"grid"}):
        click.echo(f"{name} {json.dumps(options[name])}")

"""`zoo eval NAME`: how close are a model's samples to held-out data?

With several processes: torchrun --nproc-per-node 2 -m zoo eval NAME
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from zoo.cli.measuring import EvalOptions, log, row_of, shown, told
from zoo.cli.options import COUNT, PATH, STEPS, device_option, integers, names, numbers, option
from zoo.cli.output import echo_json, echo_table
from zoo.cli.pooling import evaluate_trainings
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.evaluation.report import Report
    from zoo.sampling.distributed import DistributedContext


@click.command()
@click.argument("ref", metavar="[NAME]", required=False)
@option("--trainings", callback=names, help="Pool these models, or results of -o: A,B,c.json.")
@option("--against", callback=names, help="Compare them with as many others, in pairs.")
@option("-n", "count", type=COUNT, default=10_000, help="Samples per seed.")
@option("--seeds", type=COUNT, default=1, help="How many seeds, a set of samples each.")
@option("--seed", type=int, default=0, help="The first of them.")
@option("--metrics", help="Of frechet,kid,prdc,nearest,tails,bits,classes [by shape].")
@option("--features", help="garments, pixels, standardised, inception or timm:MODEL [by model].")
@option("--data", help="Compare with the test split of this data [the model's own].")
@option("--kernel", help="Another kernel, for a model trained under a Gaussian one.")
@option("--solver", help="Another solver, see `zoo components solvers`.")
@option("--steps", type=STEPS, help="Solver steps; the model's default if not given.")
@option("--solvers", callback=names, help="Sweep: these solvers at each of --nfe, e.g. euler,heun.")
@option("--nfe", callback=integers, help="Sweep: evaluations per sample, e.g. 9,18,35.")
@option("--noise", callback=numbers, help="Also with noise after each step, e.g. 0.1,0.2.")
@option("--bits", callback=integers, help="Also with weights of so many bits, e.g. 8,6,5.")
@device_option
@option("-o", "--out", type=PATH, help="Results file, JSON; written after each setting.")
@option("--write-card", is_flag=True, help="Put the results into the model's card.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    ref: str | None,
    trainings: list[str],
    against: list[str],
    count: int,
    seeds: int,
    seed: int,
    metrics: str | None,
    features: str | None,
    data: str | None,
    kernel: str | None,
    solver: str | None,
    steps: int | None,
    solvers: list[str],
    nfe: list[int],
    noise: list[float],
    bits: list[int],
    device: str,
    out: Path | None,
    write_card: bool,
    as_json: bool,
) -> None:
    """Measure samples of the model NAME (or owner/name on the Hub, or ./folder).

    Samples are compared with the test split of the data by the features of a network. Every
    figure has a 95 % interval: over seeds, or by the jackknife where there is one seed. Distances
    on "garments", the small classifier that ships with fieldzoo, are not FID. Under torchrun
    each process draws a part of the samples, and the first computes the figures.

    With --trainings A,B,C instead of NAME the interval of each mean is over these trainings of one
    recipe, and with --against D,E,F that of the mean difference of pairs.
    """
    if bool(solvers) != bool(nfe):
        raise click.UsageError("a sweep takes both --solvers and --nfe")
    if solvers and (solver or steps):
        raise click.UsageError("give --solvers and --nfe, or --solver and --steps, not both")
    if kernel and write_card:
        raise click.UsageError("--write-card is for the model's own kernel; leave --kernel out")
    if ref is None and not trainings:
        raise click.UsageError("Missing argument 'NAME', or --trainings with several")
    if trainings and (ref or write_card):
        raise click.UsageError("--trainings takes neither NAME nor --write-card")
    if against and not trainings:
        raise click.UsageError("--against compares with --trainings; give both")
    from zoo.files import check_place
    from zoo.sampling.distributed import connect

    drawn = tuple(range(seed, seed + seeds))
    asked = EvalOptions(
        count, drawn, metrics, features, data, kernel, solver, steps, solvers, nfe, noise, bits
    )
    with connect(device) as context, context.errors_from_main():
        if out is not None:
            check_place(out)
        if ref is None:
            evaluate_trainings(asked, trainings, against, context, out, as_json)
        else:
            _evaluate_one(asked, ref, context, out, write_card, as_json)


def _evaluate_one(
    asked: EvalOptions,
    ref: str,
    context: DistributedContext,
    out: Path | None,
    write_card: bool,
    as_json: bool,
) -> None:
    from zoo.evaluation import card
    from zoo.evaluation.report import write

    folder = card.folder_to_write(ref) if write_card else None
    one = asked.prepare(ref, context)
    on_outcome = partial(_save_outcome, one.name, out, len(one.todo) > 1)
    report = one.measure(context, on_outcome)
    if report is None:
        return
    # The file is written even if printing fails (a closed pipe), and the other way round.
    try:
        _print_report(one.name, report, as_json)
    finally:
        if out is not None:
            write(report, out)
        if folder is not None:
            card.write(folder, report, one.model.network)


def _save_outcome(name: str, out: Path | None, sweep: bool, report: Report) -> None:
    """Save the report after each setting, so that an interrupted sweep keeps its results.

    A full disk does not stop the sweep.
    """
    from zoo.evaluation.report import write

    if sweep:
        log(name, told(report))
    if out is not None:
        try:
            write(report, out)
        except ZooError as error:
            log(name, f"{error}; going on")


def _print_report(name: str, report: Report, as_json: bool) -> None:
    if as_json:
        echo_json(msgspec.to_builtins(report))
        return
    click.echo(
        f"{name} against the {report.data['split']} split of {report.data['ref']}, "
        f"{report.data['images']:,} images; {report.features['title']}; "
        f"{len(report.seeds)} x {report.samples:,} samples; "
        f"value and half of its 95 % interval ({report.intervals})\n"
    )
    names = list(dict.fromkeys(name for o in report.outcomes for name in o.metrics))
    if names:
        rows = [
            [*row_of(o.setting), *(shown(o.metrics[name]) for name in names)]
            for o in report.outcomes
        ]
        for label, figures in (
            ("(training images)", report.training_images),
            ("(held-out images)", report.held_out),
        ):
            if figures:
                cells = (f"{figures[n]:.4g}" if n in figures else "" for n in names)
                rows.append([label, "", "", "", *cells])
        echo_table(["solver", "steps", "NFE", "perturbed", *names], rows)
    if report.model_metrics:
        click.echo()
        echo_table(["figure", "value"], [[n, shown(e)] for n, e in report.model_metrics.items()])

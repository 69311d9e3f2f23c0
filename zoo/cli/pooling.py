"""`zoo eval --trainings A,B,C [--against D,E,F]`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from click.core import ParameterSource

from zoo.cli.measuring import EvalOptions, Prepared, log, row_of, shown, told
from zoo.cli.output import echo_json, echo_table
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.evaluation.report import Report
    from zoo.evaluation.trainings import Pooled
    from zoo.sampling.distributed import DistributedContext

RESULTS = ".json"


def evaluate_trainings(
    asked: EvalOptions,
    trainings: list[str],
    against: list[str],
    context: DistributedContext,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure each of the models, or read what was measured of it, and print what they say.

    What they are, and how they are measured, is compared before the first sample is drawn.
    """
    from zoo.evaluation.report import read, write
    from zoo.evaluation.trainings import check_alike, check_numbers, pool

    check_numbers(trainings, against)
    refs = (*trainings, *against)
    if "" in refs:
        raise ZooError("a name between two commas is empty; expected names as in A,B,C")
    if all(ref.endswith(RESULTS) for ref in refs) and (option := _measuring_option()):
        raise click.UsageError(f"{option} does nothing: these results are measured already")
    found: list[Report | Prepared] = [
        read(Path(ref)) if ref.endswith(RESULTS) else asked.prepare(ref, context) for ref in refs
    ]
    plans = [each.planned() if isinstance(each, Prepared) else each for each in found]
    check_alike(plans[: len(trainings)], plans[len(trainings) :])
    reports = [
        e.measure(context, partial(_log_outcome, e.name)) if isinstance(e, Prepared) else e
        for e in found
    ]
    if not context.is_main:
        return
    whole = [report for report in reports if report is not None]
    pooled = pool(whole[: len(trainings)], whole[len(trainings) :])
    try:
        _print(pooled, as_json)
    finally:
        if out is not None:
            write(pooled, out)


def _measuring_option() -> str | None:
    """Return the first option of the command that was given and says how models are measured."""
    context = click.get_current_context()
    others = ("trainings", "against", "device", "out", "as_json")
    given = (
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name is not None
        and parameter.name not in others
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    )
    return next(given, None)


def _log_outcome(name: str, report: Report) -> None:
    log(name, told(report))


def _print(pooled: Pooled, as_json: bool) -> None:
    if as_json:
        echo_json(msgspec.to_builtins(pooled))
        return
    facts, count = pooled.facts, len(pooled.trainings)
    click.echo(
        f"{count} trainings against the {facts.split} split of {facts.data}, {facts.images:,} "
        f"images; features {facts.features}; {len(facts.seeds)} x {facts.samples:,} samples each; "
        "mean and half of its 95 % interval (Student's t over trainings)"
    )
    if pooled.pairs:
        click.echo(f"the difference is that of pairs by {pooled.pairs}, first minus second")
    for outcome in pooled.outcomes:
        click.echo()
        for label, setting in (("", outcome.setting), ("second: ", outcome.against_setting)):
            if setting is not None:
                solver, steps, nfe, perturbed = row_of(setting)
                more = f", {perturbed}" if perturbed else ""
                click.echo(f"{label}{solver}, {steps} steps, {nfe} evaluations{more}")
        names = list(outcome.metrics)
        rows = []
        for reports, figures in (
            (pooled.trainings, outcome.metrics),
            (pooled.against, outcome.against),
        ):
            for k, report in enumerate(reports):
                rows.append([report.model, *(f"{figures[n].values[k]:.4g}" for n in names)])
            if reports:
                rows.append([f"mean of {count}", *(shown(figures[n]) for n in names)])
        if outcome.difference:
            rows.append(["difference", *(shown(outcome.difference[n]) for n in names)])
        echo_table(["training", *names], rows)

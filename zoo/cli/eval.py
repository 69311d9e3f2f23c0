"""`zoo eval NAME`: how close are a model's samples to held-out data?

With several processes: torchrun --nproc-per-node 2 -m zoo eval NAME
"""

from __future__ import annotations

from functools import partial
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from zoo.cli.options import COUNT, PATH, STEPS, device_option, integers, names, numbers, option
from zoo.cli.output import echo_json, echo_table
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.evaluation.intervals import Estimate
    from zoo.evaluation.reference import Reference
    from zoo.evaluation.report import Report, Setting
    from zoo.models.model import FieldModel


@click.command()
@click.argument("ref", metavar="NAME")
@option("-n", "count", type=COUNT, default=10_000, help="Samples per seed.")
@option("--seeds", type=COUNT, default=1, help="How many seeds, a set of samples each.")
@option("--seed", type=int, default=0, help="The first of them.")
@option("--metrics", help="Some of frechet,kid,prdc,nearest,bits,classes [the first four].")
@option("--features", help="garments, pixels, inception or timm:MODEL [by shape].")
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
    ref: str,
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
    """
    if bool(solvers) != bool(nfe):
        raise click.UsageError("a sweep takes both --solvers and --nfe")
    if solvers and (solver or steps):
        raise click.UsageError("give --solvers and --nfe, or --solver and --steps, not both")
    if kernel and write_card:
        raise click.UsageError("--write-card is for the model's own kernel; leave --kernel out")
    from zoo.evaluation import card, settings
    from zoo.evaluation.metrics import DEFAULT, parse_metrics
    from zoo.evaluation.report import write
    from zoo.evaluation.run import evaluate
    from zoo.files import check_place
    from zoo.models.load import load
    from zoo.sampling.distributed import connect

    name = f"{ref} under the kernel {kernel}" if kernel else ref
    with connect(device) as context, context.errors_from_main():
        if out is not None:
            check_place(out)
        folder = card.folder_to_write(ref) if write_card else None
        chosen = parse_metrics(metrics) if metrics else DEFAULT
        model = context.main_process_first(lambda: load(ref, kernel=kernel, device=context.device))
        reference = context.main_process_first(lambda: _reference(model, ref, data, features))
        measurement = settings.Measurement(chosen, count, tuple(range(seed, seed + seeds)))
        todo = settings.sweep(model, solvers, nfe)
        todo = todo or [settings.model_setting(model, solver, steps)]
        todo += settings.perturbed(todo, noise, bits)
        log = partial(_log, name)
        on_outcome = partial(_save_outcome, name, out, len(todo) > 1)
        report = evaluate(ref, model, todo, measurement, reference, log, context, on_outcome)
        if report is None:
            return
        # The file is written even if printing fails (a closed pipe), and the other way round.
        try:
            _print_report(name, report, as_json)
        finally:
            if out is not None:
                write(report, out)
            if folder is not None:
                card.write(folder, report, model.network)


def _log(name: str, line: str) -> None:
    click.echo(f"{name}: {line}", err=True)


def _save_outcome(name: str, out: Path | None, sweep: bool, report: Report) -> None:
    """Save the report after each setting, so that an interrupted sweep keeps its results.

    A full disk does not stop the sweep.
    """
    from zoo.evaluation.report import write

    if sweep:
        outcome = report.outcomes[-1]
        figures = ", ".join(f"{n} {_shown(e)}" for n, e in outcome.metrics.items())
        _log(name, f"{figures} ({outcome.seconds:.0f} s)")
    if out is not None:
        try:
            write(report, out)
        except ZooError as error:
            _log(name, f"{error}; going on")


def _reference(model: FieldModel, ref: str, data: str | None, features: str | None) -> Reference:
    """Return the data that samples are compared with, by default what the model was trained on."""
    from zoo.evaluation import features as extractors
    from zoo.evaluation.reference import open_reference

    chosen = features or extractors.default(model.shape)
    extractor = extractors.build(chosen, model.shape, model.device)
    config = model.config
    if not data and config:
        source = (config.training.recipe or {}).get("data")
        used = source.get("use") if isinstance(source, dict) else None
        data = str(used or config.data.name)
    if not data:
        raise ZooError(f"{ref} does not say what it was trained on; name it with --data")
    return open_reference(data, model.shape, extractor, condition=model.condition)


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
            [*_setting(o.setting), *(_shown(o.metrics[name]) for name in names)]
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
        echo_table(["figure", "value"], [[n, _shown(e)] for n, e in report.model_metrics.items()])


def _setting(setting: Setting) -> list[str]:
    perturbation = f"noise {setting.noise:g}" if setting.noise else ""
    perturbation = f"{setting.bits} bits" if setting.bits is not None else perturbation
    return [setting.solver, str(setting.steps), str(setting.nfe), perturbation]


def _shown(estimate: Estimate) -> str:
    """Return "12.3 ± 0.4": the half width with two digits, the value to the same decimal place."""
    half = (estimate.high - estimate.low) / 2
    if half <= 1e-9 * abs(estimate.value):  # zero up to rounding
        return f"{estimate.value:.4g}"
    places = max(0, 1 - floor(log10(half)))
    return f"{estimate.value:.{places}f} ± {half:.{places}f}"

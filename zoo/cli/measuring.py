"""What `zoo eval` is asked to measure, of one model or of several trainings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import floor, log10
from typing import TYPE_CHECKING

import click

from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.evaluation.intervals import Estimate
    from zoo.evaluation.reference import Reference
    from zoo.evaluation.report import Report, Setting
    from zoo.evaluation.settings import Measurement
    from zoo.models.model import FieldModel
    from zoo.sampling.distributed import DistributedContext


@dataclass
class EvalOptions:
    """The options of `zoo eval` that say how a model is measured."""

    count: int
    seeds: tuple[int, ...]
    metrics: str | None
    features: str | None
    data: str | None
    kernel: str | None
    solver: str | None
    steps: int | None
    solvers: list[str]
    nfe: list[int]
    noise: list[float]
    bits: list[int]
    _opened: dict[object, Reference] = field(default_factory=dict)

    def name(self, ref: str) -> str:
        """Return what a model is called in messages."""
        return f"{ref} under the kernel {self.kernel}" if self.kernel else ref

    def prepare(self, ref: str, context: DistributedContext) -> Prepared:
        """Load a model and the data that its samples are compared with; nothing is drawn."""
        from zoo.evaluation import settings
        from zoo.evaluation.metrics import default, parse_metrics
        from zoo.evaluation.run import trained_on
        from zoo.models.load import load

        named = parse_metrics(self.metrics) if self.metrics else None
        model = context.main_process_first(
            lambda: load(ref, kernel=self.kernel, device=context.device)
        )
        reference = context.main_process_first(lambda: self._reference(model, ref))
        chosen = named or default(model.shape, min(self.count, len(reference.data)))
        if named is None and not trained_on(model, reference):
            chosen = tuple(name for name in chosen if name != "nearest")
            if context.is_main:
                log(self.name(ref), f"nearest left out: it was not trained on {reference.ref}")
        measurement = settings.Measurement(chosen, self.count, self.seeds)
        todo = settings.sweep(model, self.solvers, self.nfe)
        todo = todo or [settings.model_setting(model, self.solver, self.steps)]
        todo += settings.perturbed(todo, self.noise, self.bits)
        settings.check_noisy(model, todo)
        return Prepared(ref, self.name(ref), model, todo, measurement, reference)

    def _reference(self, model: FieldModel, ref: str) -> Reference:
        """Return the data that samples are compared with, by default what it was trained on."""
        from zoo.config.training import used_data
        from zoo.evaluation import features as extractors
        from zoo.evaluation.reference import open_reference

        no_unit = model.standardise is not None and model.range is None
        chosen = self.features or extractors.default(model.shape, standardise=no_unit)
        data, config = self.data, model.config
        if not data and config:
            data = used_data(config.training.recipe) or config.data.name
        if not data:
            raise ZooError(f"{ref} does not say what it was trained on; name it with --data")
        key = (data, chosen, model.shape, model.condition)
        if key not in self._opened:  # its features are computed once for all trainings
            extractor = extractors.build(chosen, model.shape, model.device)
            self._opened[key] = open_reference(
                data, model.shape, extractor, condition=model.condition
            )
        return self._opened[key]


@dataclass
class Prepared:
    """A model, ready to be measured; `name` is what messages call it."""

    ref: str
    name: str
    model: FieldModel
    todo: list[Setting]
    measurement: Measurement
    reference: Reference

    def planned(self) -> Report:
        """Return the report that `measure` will fill."""
        from zoo.evaluation.metrics import needs_samples
        from zoo.evaluation.run import planned

        drawn = self.todo if needs_samples(self.measurement.metrics) else ()
        return planned(self.ref, self.model, drawn, self.measurement, self.reference)

    def measure(
        self, context: DistributedContext, on_outcome: Callable[[Report], None]
    ) -> Report | None:
        """Draw the samples and compare them; None in all processes but the main one."""
        from zoo.evaluation.run import evaluate

        return evaluate(
            self.ref,
            self.model,
            self.todo,
            self.measurement,
            self.reference,
            partial(log, self.name),
            context,
            on_outcome,
        )


def log(name: str, line: str) -> None:
    """Print a line about a model on stderr."""
    click.echo(f"{name}: {line}", err=True)


def told(report: Report) -> str:
    """Return the figures of the last setting in one line."""
    outcome = report.outcomes[-1]
    figures = ", ".join(f"{n} {shown(e)}" for n, e in outcome.metrics.items())
    return f"{figures} ({outcome.seconds:.0f} s)"


def row_of(setting: Setting) -> list[str]:
    """Return a setting as cells of a table: solver, steps, NFE, perturbed."""
    perturbation = f"noise {setting.noise:g}" if setting.noise else ""
    perturbation = f"{setting.bits} bits" if setting.bits is not None else perturbation
    return [setting.solver, str(setting.steps), str(setting.nfe), perturbation]


def shown(estimate: Estimate) -> str:
    """Return "12.3 ± 0.4": the half width with two digits, the value to the same decimal place."""
    half = (estimate.high - estimate.low) / 2
    if half <= 1e-9 * abs(estimate.value):  # zero up to rounding
        return f"{estimate.value:.4g}"
    places = max(0, 1 - floor(log10(half)))
    return f"{estimate.value:.{places}f} ± {half:.{places}f}"

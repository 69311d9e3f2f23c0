"""From a model to a report: draw, measure, state intervals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from msgspec import structs
from torch import Tensor

from zoo.errors import ZooError
from zoo.evaluation import report as reports
from zoo.evaluation.budget import evaluations, steps_for
from zoo.evaluation.conditional import check_classes, class_hits
from zoo.evaluation.intervals import Estimate, balanced_classes, from_mean, from_seeds
from zoo.evaluation.metrics import (
    METRICS,
    Samples,
    least_images,
    least_samples,
    measure,
    samples_of,
)
from zoo.evaluation.perturb import NoisySolver, check_bits, check_noise, quantised
from zoo.evaluation.reference import LEVELS, Reference
from zoo.evaluation.report import Outcome, Report, Setting
from zoo.models.model import FieldModel
from zoo.models.sharded import sample_sharded
from zoo.sampling.distributed import SINGLE_PROCESS, DistributedContext

GUIDANCE = (1.0, 2.0)
BITS_IMAGES = 16


@dataclass(frozen=True)
class Job:
    """What to measure.

    Attributes:
        metrics: names, see zoo.evaluation.metrics.
        samples: number per seed.
        seeds: one set of samples each.
    """

    metrics: tuple[str, ...]
    samples: int
    seeds: tuple[int, ...]

    def check(self, model: FieldModel, reference: Reference) -> None:
        """Check that this can be measured of `model`, before anything is drawn.

        Raises:
            ZooError: too few samples or images of the data, or a metric that does not fit model or
                features.
        """
        least = least_samples(self.metrics)
        if self.samples < least:
            raise ZooError(f"{self.samples} samples are too few; these metrics take {least}")
        for name in self.metrics:
            if (images := len(reference.data)) < least_images(name):
                raise ZooError(
                    f"metric {name!r} takes at least {least_images(name)} images; the "
                    f"{reference.split} split of {reference.ref} has {images}"
                )
        if "classes" in self.metrics:
            check_classes(model, reference.features)
        if "bits" in self.metrics and len(model.shape) != 3:
            raise ZooError("metric 'bits' is of images of 8 bits; this model's data are vectors")


def own_setting(model: FieldModel, solver: str | None, steps: int | None) -> Setting:
    """Return the setting of the model itself, but for what is given.

    Raises:
        ZooError: no solver is given and the model's own has no name, or an unknown one is.
    """
    named = solver or (model.solver.part.use if model.solver.part else "")
    if not named:
        raise ZooError("the model's solver has no name; build it with zoo.solver(name, ...)")
    count = model.steps if steps is None else steps
    setting = Setting(named, count, 0)
    nfe = evaluations(model, model.solver_called(setting.solver), count)
    return Setting(named, count, nfe)


def sweep(model: FieldModel, solvers: Sequence[str], budgets: Sequence[int]) -> list[Setting]:
    """Return a setting per solver and number of evaluations, as near below it as steps allow.

    Raises:
        ZooError: an unknown solver, or one that cannot keep to a number of evaluations.
    """
    found = []
    for name in solvers:
        solver = model.solver_called(name)
        for budget in budgets:
            steps = steps_for(model.kernel, solver, budget)
            found.append(Setting(name, steps, evaluations(model, solver, steps)))
    return [*dict.fromkeys(found)]


def disturbed(
    settings: Sequence[Setting], noise: Sequence[float], bits: Sequence[int]
) -> list[Setting]:
    """Return each setting once more per amount of noise and per number of bits.

    Raises:
        ZooError: an amount or a number of bits out of range.
    """
    for amount in noise:
        check_noise(amount)
    for number in bits:
        check_bits(number)
    noisy = [structs.replace(s, noise=amount) for s in settings for amount in noise]
    return noisy + [structs.replace(s, bits=count) for s in settings for count in bits]


def draw(
    model: FieldModel,
    setting: Setting,
    job: Job,
    context: DistributedContext,
    *,
    labels: Tensor | None = None,
    guidance: float = 1.0,
) -> Iterator[Tensor]:
    """Yield a set of samples per seed under a setting, (n, *shape) each; none but in the first.

    The processes share the drawing; labels (n,) and guidance are as for `sample`.
    """
    solver = model.solver_called(setting.solver)
    if setting.noise:
        solver = NoisySolver(solver, setting.noise)
    if setting.bits is not None:
        model = quantised(model, setting.bits)
    for seed in job.seeds:
        samples = sample_sharded(
            model,
            context,
            job.samples,
            steps=setting.steps,
            solver=solver,
            seed=seed,
            labels=labels,
            guidance=guidance,
            progress=context.is_main,
        )
        if samples is not None:
            yield samples


def outcome(
    model: FieldModel,
    setting: Setting,
    job: Job,
    reference: Reference,
    context: DistributedContext = SINGLE_PROCESS,
) -> tuple[Outcome, list[Samples]]:
    """Return the figures under one setting, and the samples they are of; none but in the first.

    A model that is conditioned on classes draws as many of each.
    """
    started = time.monotonic()
    labels = balanced_classes(model.network.labels, job.samples)
    drawn = [samples_of(x, reference) for x in draw(model, setting, job, context, labels=labels)]
    figures: dict[str, Estimate] = {}
    for name in job.metrics:
        if drawn and name in METRICS:
            figures |= measure(METRICS[name](), drawn, reference)
    return Outcome(setting, figures, round(time.monotonic() - started, 1)), drawn


def bits_per_dim(model: FieldModel, reference: Reference, seed: int = 0) -> Estimate:
    """Return the bits per dimension of 16 held-out images: an upper bound (dequantisation)."""
    from zoo.models.likelihood import log_prob

    images = reference.images[:BITS_IMAGES]
    levels = ((images + 1) * (LEVELS / 2)).round().to(torch.uint8)
    return from_mean(log_prob(model, levels, seed=seed).bits_per_dim)


def class_accuracy(
    model: FieldModel,
    setting: Setting,
    job: Job,
    reference: Reference,
    context: DistributedContext = SINGLE_PROCESS,
    unguided: Sequence[Samples] | None = None,
) -> dict[str, Estimate]:
    """Return the share of samples, of the classes in turn, classified as their own, by guidance.

    `unguided` are the samples of guidance 1 where they have been drawn, as `outcome` returns them.
    """
    labels, found = balanced_classes(model.network.labels, job.samples), {}
    assert labels is not None
    for guidance in GUIDANCE:
        if guidance == 1.0 and unguided is not None:
            drawn: Iterable[Tensor] = (samples.images for samples in unguided)
        else:
            drawn = draw(model, setting, job, context, labels=labels, guidance=guidance)
        hits = [class_hits(x, labels, reference.features, model.range) for x in drawn]
        if len(hits) == 1:
            estimate = from_mean(hits[0])
        elif hits:
            estimate = from_seeds([float(h.mean()) for h in hits])
        else:
            continue
        found[f"class_accuracy_guidance_{guidance:g}"] = estimate
    return found


def _ignore(_told: object) -> None:
    """Be told of something."""


def evaluate(
    name: str,
    model: FieldModel,
    settings: Sequence[Setting],
    job: Job,
    reference: Reference,
    say: Callable[[str], None] = _ignore,
    context: DistributedContext = SINGLE_PROCESS,
    keep: Callable[[Report], None] = _ignore,
) -> Report | None:
    """Return the report of `model` under each setting; None but in the first process.

    Args:
        name: of the model, for the report.
        model: the same in every process.
        settings: how samples are drawn; figures that are of the model alone take the first.
        job: what to measure.
        reference: what samples are compared with.
        say: hears in the first process what is under way.
        context: the processes that share the drawing; the first alone measures.
        keep: is handed in the first process, after each setting, what is found so far.

    Raises:
        ZooError: what is asked does not fit the model, as `Job.check` says; what sampling raises.
    """
    job.check(model, reference)
    if not context.is_main:
        say = keep = _ignore
    measured = settings if set(job.metrics) & {*METRICS} else ()
    report, unguided = _blank(name, model, job, reference) if context.is_main else None, None
    for setting in measured:
        say(describe(setting, job, model.network.labels))
        found, drawn = outcome(model, setting, job, reference, context)
        if report is not None:
            report = structs.replace(report, outcomes=(*report.outcomes, found))
            keep(report)
        if unguided is None and "classes" in job.metrics:
            unguided = drawn
        del drawn  # while the next are drawn
    extra: dict[str, Estimate] = {}
    if "bits" in job.metrics and context.is_main:
        say(f"bits per dimension of {BITS_IMAGES} images")
        extra["bits_per_dim"] = bits_per_dim(model, reference)
    if "classes" in job.metrics:
        say(f"class accuracy of {job.samples:,} samples at guidance {GUIDANCE}")
        extra |= class_accuracy(model, settings[0], job, reference, context, unguided)
    return structs.replace(report, model_metrics=extra) if report is not None else None


def _blank(name: str, model: FieldModel, job: Job, reference: Reference) -> Report:
    """Return a report that has no figures of the model yet."""
    config = model.config
    files = config.weights.files if config else {}
    return Report(
        format=1,
        model=name,
        weights={file: facts.sha256 for file, facts in files.items()},
        data={
            "ref": reference.ref,
            "name": reference.data.name,
            "split": reference.split,
            "images": len(reference.data),
        },
        features={"name": reference.features.name, "title": reference.features.title},
        samples=job.samples,
        seeds=job.seeds,
        intervals=reports.HOW_ONE if len(job.seeds) == 1 else reports.HOW_SEEDS,
        outcomes=(),
        training_images=training_scores(job, reference),
        held_out=held_out_scores(job, reference),
        kernel=model.kernel.part.use if model.kernel.part else "",
        classes=model.network.labels,
        machine=reports.machine(str(model.device)),
        versions=reports.versions(),
    )


def describe(setting: Setting, job: Job, classes: int = 0) -> str:
    """Return a setting in words."""
    disturbed = f", noise {setting.noise:g}" if setting.noise else ""
    disturbed += f", weights of {setting.bits} bits" if setting.bits else ""
    of = f" of {classes} classes" if classes else ""
    return (
        f"{len(job.seeds)} x {job.samples:,} samples{of} by {setting.solver}, "
        f"{setting.steps} steps, {setting.nfe} evaluations{disturbed}"
    )


def training_scores(job: Job, reference: Reference) -> dict[str, float]:
    """Return what as many training images score: the best that a model can hope for.

    A metric that takes more of them than there are is left out.
    """
    names = [name for name in job.metrics if name in ("frechet", "kid", "prdc")]
    if not names or reference.split == "train":
        return {}
    from zoo.data import load

    data = load(reference.ref, size=reference.size)
    count = min(job.samples, len(data))
    samples = samples_of(data.batch(torch.arange(count)), reference)
    figures: dict[str, float] = {}
    for name in (name for name in names if count >= least_images(name)):
        metric = METRICS[name]()
        values = metric.of(metric.rows(samples, reference), reference).tolist()
        figures |= dict(zip(metric.names, values, strict=True))
    return figures


def held_out_scores(job: Job, reference: Reference) -> dict[str, float]:
    """Return the distance of held-out data to training data, for `nearest`."""
    if "nearest" not in job.metrics or reference.split == "train":
        return {}
    metric = METRICS["nearest"]()
    values = metric.of(reference.own_distances, reference).tolist()
    return dict(zip(metric.names, values, strict=True))

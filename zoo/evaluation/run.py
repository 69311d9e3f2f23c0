"""From a model to a report: draw samples, compute metrics, give intervals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import torch
from msgspec import structs
from torch import Tensor

from zoo.config.recipe import ARRAY
from zoo.config.training import public, used_data
from zoo.data import load
from zoo.data.images import MAX_BYTE
from zoo.errors import ZooError, brief
from zoo.evaluation import garments
from zoo.evaluation import report as reports
from zoo.evaluation.features import FeatureExtractor, in_batches
from zoo.evaluation.intervals import Estimate, from_mean, from_seeds
from zoo.evaluation.metrics import (
    METRICS,
    Samples,
    measure,
    min_images,
    min_samples,
    needs_samples,
    with_features,
)
from zoo.evaluation.reference import Reference, round_to_bytes, samples_of, some_rows
from zoo.evaluation.report import Outcome, Report, Setting
from zoo.evaluation.settings import Measurement, check_noisy, describe, draw_samples
from zoo.models.model import FieldModel
from zoo.models.parts import refuse_images
from zoo.sampling.distributed import SINGLE_PROCESS, DistributedContext
from zoo.sampling.guidance import Guidance

BITS_IMAGES = 16
GUIDANCE = (1.0, 2.0)


def trained_on(model: FieldModel, reference: Reference) -> bool:
    """Return whether a model may have been trained on the data that its samples are compared with.

    A model that does not say, or says no more than that they were an array, is taken to be.
    """
    config = model.config
    known = (used_data(config.training.recipe) or config.data.name) if config else ""
    return known in ("", ARRAY, reference.ref, public(reference.ref))


def check_measurement(measurement: Measurement, model: FieldModel, reference: Reference) -> None:
    """Check, before anything is drawn, that this can be measured for `model`.

    Raises:
        ZooError: too few samples or images, or a metric that does not fit model or features.
    """
    least = min_samples(measurement.metrics)
    if measurement.samples < least:
        raise ZooError(f"{measurement.samples} samples are too few; these metrics take {least}")
    images = len(reference.data)
    for name in measurement.metrics:
        if images < min_images(name):
            raise ZooError(
                f"metric {name!r} takes at least {min_images(name)} images; the "
                f"{reference.split} split of {reference.ref} has {images}"
            )
    if "nearest" in measurement.metrics and not trained_on(model, reference):
        raise ZooError(
            "metric 'nearest' is of the data that a model was trained on, which "
            f"{brief(reference.ref)} is not; leave --data or 'nearest' out"
        )
    if "classes" in measurement.metrics:
        if not model.network.labels:
            raise ZooError("metric 'classes' needs a model with labels; this one has none")
        _classifier(reference.extractor)
        if reference.extractor.name == "garments":
            _check_garments(model, reference)
    if "tails" in measurement.metrics and len(model.shape) != 1:
        raise ZooError("metric 'tails' is of vectors (d,); this model's data are images")
    if "bits" in measurement.metrics and len(model.shape) != 3:
        raise ZooError("metric 'bits' is of images of 8 bits; this model's data are vectors")
    if "bits" in measurement.metrics:
        model.needs_field("be measured by 'bits'")
        refuse_images(model, "metric 'bits'", "leave it out")


def _check_garments(model: FieldModel, reference: Reference) -> None:
    """Check that model and data are of the classes that the shipped classifier knows."""
    name = garments.about()["data"]
    found = [reference.data.name, model.data.name or name]
    if model.network.labels != garments.CLASSES or not all(
        name in one.lower().replace("_", "-") for one in found
    ):
        raise ZooError(
            f"metric 'classes' is by a classifier of the {garments.CLASSES} classes of {name}; the "
            f"data are {brief(found[0])}, the model has {model.network.labels} classes of "
            f"{brief(model.data.name)}"
        )


def evaluate_setting(
    model: FieldModel,
    setting: Setting,
    measurement: Measurement,
    reference: Reference,
    context: DistributedContext = SINGLE_PROCESS,
) -> tuple[Outcome, list[Samples]]:
    """Return the figures under one setting, and the samples.

    Both are empty but in the first process. A model with classes draws equally many of each; one
    with conditions given those of the data that samples are compared with, and their classes.
    """
    started = time.monotonic()
    labels = reference.labels(model.network.labels, measurement.samples)
    given = reference.conditions(measurement.samples)
    drawn: list[Samples] = []
    compared = [METRICS[name] for name in measurement.metrics if name in METRICS]
    if compared:
        xs = draw_samples(model, setting, measurement, context, labels=labels, condition=given)
        drawn = [with_features(x, reference, model.data.columns) for x in xs]
    figures: dict[str, Estimate] = {}
    for metric in compared if drawn else ():
        figures |= measure(metric, drawn, reference)
    if "classes" in measurement.metrics:
        unguided = drawn if compared and model.guidance is None else None
        figures |= class_accuracy(model, setting, measurement, reference, context, unguided)
    return Outcome(setting, figures, round(time.monotonic() - started, 1)), drawn


def bits_per_dim(model: FieldModel, reference: Reference, seed: int = 0) -> Estimate:
    """Return the bits per dimension of 16 held-out images: an upper bound (dequantisation).

    Given their conditions, and their classes where the model has such.
    """
    rows = some_rows(min(BITS_IMAGES, len(reference.data)), len(reference.data))
    pixels = ((reference.images[rows] + 1) * (MAX_BYTE / 2)).round().to(torch.uint8)
    condition, labels = reference.conditions(len(rows)), reference.data.labels
    if labels is not None:
        labels = labels[rows] if reference.data.classes <= model.network.labels else None
    found = model.log_likelihood(pixels, seed=seed, labels=labels, condition=condition)
    return from_mean(found.bits_per_dim)


def _classifier(extractor: FeatureExtractor) -> Callable[[Tensor], Tensor]:
    if extractor.classify is None:
        raise ZooError(f"metric 'classes' needs a classifier; features {extractor.name!r} are none")
    return extractor.classify


def class_hits(
    x: Tensor, labels: Tensor, extractor: FeatureExtractor, data_range: tuple[float, float] | None
) -> Tensor:
    """Return 1 where a sample of x (n, *shape) is classified as its label, else 0, (n,), float64.

    Raises:
        ZooError: the features are not those of a classifier.
    """
    classify = _classifier(extractor)
    return (in_batches(classify, round_to_bytes(x, data_range), "classes") == labels).double()


def class_accuracy(
    model: FieldModel,
    setting: Setting,
    measurement: Measurement,
    reference: Reference,
    context: DistributedContext = SINGLE_PROCESS,
    unguided: Sequence[Samples] | None = None,
) -> dict[str, Estimate]:
    """Return the fraction of samples that are classified as their own class, at each guidance.

    `unguided` are the samples at guidance 1, balanced over the classes, if they exist already.
    """
    labels = reference.labels(model.network.labels, measurement.samples)
    assert labels is not None
    accuracy = {}
    for guidance in GUIDANCE:
        if guidance == 1.0 and unguided is not None:
            drawn: Iterable[Tensor] = (samples.images for samples in unguided)
        else:
            drawn = draw_samples(
                model,
                setting,
                measurement,
                context,
                labels=labels,
                condition=reference.conditions(measurement.samples),
                guidance=Guidance(guidance),  # by the class, not by a guide of the model's own
            )
        hits = [class_hits(x, labels, reference.extractor, model.range) for x in drawn]
        if hits:
            one = len(hits) == 1
            estimate = from_mean(hits[0]) if one else from_seeds([float(h.mean()) for h in hits])
            accuracy[f"class_accuracy_guidance_{guidance:g}"] = estimate
    return accuracy


def _ignore(_: object) -> None: ...


def evaluate(
    name: str,
    model: FieldModel,
    settings: Sequence[Setting],
    measurement: Measurement,
    reference: Reference,
    log: Callable[[str], None] = _ignore,
    context: DistributedContext = SINGLE_PROCESS,
    on_outcome: Callable[[Report], None] = _ignore,
) -> Report | None:
    """Return the report of `model` under each setting; None but in the first process.

    Args:
        name: the model's name, for the report.
        model: the same in every process.
        settings: how samples are drawn.
        measurement: the metrics, and the number of samples.
        reference: the data that samples are compared with.
        log: called in the first process with one line before each part of the work.
        context: the processes that draw samples; only the first computes metrics.
        on_outcome: called in the first process after each setting, with the report so far.

    Raises:
        ZooError: from `check_measurement`, `check_noisy`, or from sampling.
    """
    check_measurement(measurement, model, reference)
    check_noisy(model, settings)
    if not context.is_main:
        log = on_outcome = _ignore
    report = None
    if context.is_main:
        report = structs.replace(
            planned(name, model, (), measurement, reference),
            training_images=training_scores(measurement, reference),
            held_out=held_out_scores(measurement, reference),
        )
    for setting in settings if needs_samples(measurement.metrics) else ():
        log(describe(setting, measurement, model.network.labels))
        # The samples are not kept: the next ones may need the memory.
        outcome = evaluate_setting(model, setting, measurement, reference, context)[0]
        if report is not None:
            report = structs.replace(report, outcomes=(*report.outcomes, outcome))
            on_outcome(report)
    if report is not None and "bits" in measurement.metrics:
        log(f"bits per dimension of {BITS_IMAGES} images")
        bits = {"bits_per_dim": bits_per_dim(model, reference)}
        report = structs.replace(report, model_metrics=bits)
    return report


def planned(
    name: str,
    model: FieldModel,
    settings: Sequence[Setting],
    measurement: Measurement,
    reference: Reference,
) -> Report:
    """Return the report of what is to be measured, without any figure."""
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
        features={"name": reference.extractor.name, "title": reference.extractor.title},
        samples=measurement.samples,
        seeds=measurement.seeds,
        intervals=reports.JACKKNIFE if len(measurement.seeds) == 1 else reports.OVER_SEEDS,
        outcomes=tuple(Outcome(setting, {}, 0.0) for setting in settings),
        kernel=model.kernel.part.use if model.kernel.part else "",
        classes=model.network.labels,
        training_seed=_training_seed(model),
        machine=reports.machine(str(model.device)),
        versions=reports.versions(),
    )


def _training_seed(model: FieldModel) -> int | None:
    recipe = (model.config.training.recipe if model.config else None) or {}
    train = recipe.get("train")
    seed = train.get("seed") if isinstance(train, dict) else None
    return seed if isinstance(seed, int) else None


def training_scores(measurement: Measurement, reference: Reference) -> dict[str, float]:
    """Return the figures of as many training images: the best that a model can hope for.

    A metric that needs more images than there are is left out.
    """
    names = [name for name in measurement.metrics if name in ("frechet", "kid", "prdc", "tails")]
    if not names or reference.split == "train":
        return {}
    data = load(reference.ref, size=reference.size)
    count = min(measurement.samples, len(data))
    samples = with_features(samples_of(data, some_rows(count, len(data))), reference)
    figures: dict[str, float] = {}
    for name in (name for name in names if count >= min_images(name)):
        metric = METRICS[name]
        figures |= metric.figures(metric.rows(samples, reference), reference)
    return figures


def held_out_scores(measurement: Measurement, reference: Reference) -> dict[str, float]:
    """Return the figures of `nearest` for the held-out data itself."""
    if "nearest" not in measurement.metrics or reference.split == "train":
        return {}
    return METRICS["nearest"].figures(reference.held_out_distances, reference)

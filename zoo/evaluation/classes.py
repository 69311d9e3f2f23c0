"""Class accuracy: how many samples of class k does a classifier put into class k?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor

from zoo.errors import ZooError
from zoo.evaluation.features import FeatureExtractor, in_batches
from zoo.evaluation.intervals import Estimate, balanced_classes, from_mean, from_seeds
from zoo.evaluation.metrics import Samples
from zoo.evaluation.reference import Reference, round_to_bytes
from zoo.evaluation.report import Setting
from zoo.evaluation.settings import Measurement, draw_samples
from zoo.models.model import FieldModel
from zoo.sampling.distributed import SINGLE_PROCESS, DistributedContext

GUIDANCE = (1.0, 2.0)


def check_classes(model: FieldModel, extractor: FeatureExtractor) -> None:
    """Check that class accuracy can be measured.

    Raises:
        ZooError: the model has no classes, or the features are not those of a classifier.
    """
    if not model.network.labels:
        raise ZooError("metric 'classes' needs a model with labels; this one has none")
    _classifier(extractor)


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
    labels = balanced_classes(model.network.labels, measurement.samples)
    assert labels is not None
    accuracy = {}
    for guidance in GUIDANCE:
        if guidance == 1.0 and unguided is not None:
            drawn: Iterable[Tensor] = (samples.images for samples in unguided)
        else:
            drawn = draw_samples(
                model, setting, measurement, context, labels=labels, guidance=guidance
            )
        hits = [class_hits(x, labels, reference.extractor, model.range) for x in drawn]
        if len(hits) == 1:
            estimate = from_mean(hits[0])
        elif hits:
            estimate = from_seeds([float(h.mean()) for h in hits])
        else:
            continue
        accuracy[f"class_accuracy_guidance_{guidance:g}"] = estimate
    return accuracy

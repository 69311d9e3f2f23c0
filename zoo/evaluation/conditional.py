"""Does a sample of class k look like class k?"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from zoo.errors import ZooError
from zoo.evaluation.features import Features, in_batches
from zoo.evaluation.reference import as_written
from zoo.models.model import FieldModel


def check_classes(model: FieldModel, features: Features) -> None:
    """Check that class accuracy can be measured.

    Raises:
        ZooError: the model has no classes, or the features come of no classifier.
    """
    if not model.network.labels:
        raise ZooError("metric 'classes' needs a model with labels; this one has none")
    _classifier(features)


def _classifier(features: Features) -> Callable[[Tensor], Tensor]:
    """Return what puts images into classes, or raise ZooError where the features come of none."""
    if features.classify is None:
        raise ZooError(f"metric 'classes' needs a classifier; features {features.name!r} are none")
    return features.classify


def class_hits(
    x: Tensor, labels: Tensor, features: Features, ends: tuple[float, float] | None
) -> Tensor:
    """Return which samples x (n, *shape), in the range `ends`, are classified as labels (n,): (n,).

    Raises:
        ZooError: the features come of no classifier.
    """
    return (in_batches(_classifier(features), as_written(x, ends), "classes") == labels).double()

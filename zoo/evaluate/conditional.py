"""Does a sample of class k look like class k?"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.evaluate.features import Features, in_batches
from zoo.evaluate.reference import as_written
from zoo.interfaces import Solver
from zoo.model import FieldModel


def check_classes(model: FieldModel, features: Features) -> None:
    """Check that class accuracy can be measured.

    Raises:
        ZooError: the model has no classes, or the features come of no classifier.
    """
    if not model.network.labels:
        raise ZooError("metric 'classes' needs a model with labels; this one has none")
    if features.classify is None:
        raise ZooError(f"metric 'classes' needs a classifier; features {features.name!r} are none")


def class_hits(
    model: FieldModel,
    features: Features,
    n: int,
    *,
    guidance: float,
    steps: int,
    solver: Solver,
    seed: int,
) -> Tensor:
    """Return which of n samples, of the classes in turn, are classified as their own: (n,)."""
    check_classes(model, features)
    labels = torch.arange(n) % model.network.labels
    x = model.sample(
        n, labels=labels, guidance=guidance, steps=steps, solver=solver, seed=seed, progress=True
    )
    assert features.classify is not None
    found = in_batches(features.classify, as_written(x, model.range), "classes")
    return (found == labels).double()

"""Labels that `zoo.fit` is given, as numbers of classes; held-out ones numbered as the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.data import Images
from zoo.errors import ZooError, brief
from zoo.sampling.arguments import refuse_masked


def class_numbers(
    labels: Any, n: int, where: str = "labels"
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return class numbers (n,) of labels, and names of the classes where the labels are text.

    Raises:
        ZooError: not one label per row, some that are masked, or neither text nor whole numbers
            from 0.
    """
    refuse_masked(where, labels)
    found = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if found.shape != (n,):
        raise ZooError(f"{where} have shape {found.shape}; expected one per row, ({n},)")
    if found.dtype.kind in "biu":
        return found.astype(np.int64) if found.dtype == bool else found, ()
    texts: Sequence[Any] = found.tolist()
    if not all(isinstance(text, str) and text and text.isprintable() for text in texts):
        raise ZooError(f"{where} are of {found.dtype}; expected text, or whole numbers from 0")
    names, numbers = np.unique(np.asarray(texts, dtype=str), return_inverse=True)
    return numbers.astype(np.int64), tuple(names.tolist())


def with_classes_of(samples: Images, held_out: Images) -> Images:
    """Return the held-out data with their classes numbered as those of the samples are.

    Raises:
        ZooError: classes that the samples have not, or labels of the one and none of the other.
    """
    where = "labels of the validation"
    if held_out.labels is None or samples.labels is None:
        if held_out.labels is samples.labels:
            return held_out
        has, lacks = ("X", "validation") if held_out.labels is None else ("validation", "X")
        raise ZooError(
            f"{has} has labels and {lacks} none; give labels= and validation=(X, labels), or "
            "neither of them"
        )
    names, found = samples.class_names, held_out.class_names
    if bool(names) != bool(found):
        raise ZooError(f"{where} and those of X are of two kinds; give text, or whole numbers")
    if unknown := sorted({*found} - {*names}):
        raise ZooError(f"{where}: X has no class {brief(unknown[0])}; it has {brief([*names])}")
    if held_out.classes > samples.classes:
        raise ZooError(
            f"{where} go to {held_out.classes - 1}, those of X to {samples.classes - 1}; give X "
            "rows of every class"
        )
    labels = held_out.labels
    if names:
        labels = torch.tensor([names.index(name) for name in found])[labels]
    return replace(held_out, labels=labels, classes=samples.classes, class_names=names)

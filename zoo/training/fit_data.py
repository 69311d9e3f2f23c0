"""The data of `zoo.fit`: checked, split into a part to train on and one held out, standardised."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import torch

from zoo.config.columns import MOST_COLUMNS
from zoo.data import Images
from zoo.data.condition import Conditions
from zoo.data.table import Table, largest_radius, robust_standardise
from zoo.errors import ZooError, ZooWarning, brief
from zoo.training.classes import with_classes_of
from zoo.training.export import MOST
from zoo.training.fit_samples import by_channel, samples_of


@dataclass(frozen=True)
class Prepared:
    """Data of `zoo.fit`.

    Attributes:
        data: to train on; rows with the map that standardises them.
        held_out: not used in training, few of them repeated until there are as many as are
            measured; or None.
        held: number of samples held out.
        table: where the data are rows; without its values.
        standardise: whether images are to be standardised.
        heavy: number of columns with heavy tails.
        radius: the largest |z| / sqrt(d) of what the network sees.
    """

    data: Images
    held_out: Images | None
    held: int
    table: Table | None = None
    standardise: bool = False
    heavy: int = 0
    radius: float = 1.0


def prepare(
    X: Any,
    labels: Any,
    condition: Any,
    validation: Any,
    seed: int,
    *,
    standardise: bool | None,
    size: float,
) -> Prepared:
    """Return the data of `fit`; rows and series standardised to the deviation `size`.

    Raises:
        ZooError: as `fit`, of its data.
    """
    samples, table = samples_of(X, labels, condition, seed, "X")
    data, held_out = _split(samples, table, validation, seed)
    held = 0 if held_out is None else len(held_out)
    if table is None:
        return Prepared(data, held_out, held, standardise=bool(standardise))
    if held_out is not None and held < MOST:
        held_out = _repeated(held_out, -(-MOST // held))
    series = len(samples.shape) == 2
    if series and (_are_bytes(X) or samples.shape[0] == samples.shape[1] > 2):
        channels, times = samples.shape
        warnings.warn(
            f"X is read as series of {channels:,} channels and {times:,} times; grey images are "
            f"(n, 1, {channels}, {times})",
            ZooWarning,
            stacklevel=3,
        )
    if len(samples) < samples.shape[0] and not series:
        warnings.warn(
            f"X has {len(samples):,} rows of {samples.shape[0]:,} columns: with fewer rows than "
            "columns, samples will be near these rows",
            ZooWarning,
            stacklevel=3,
        )
    if table.whole.any() and not table.kept:
        warnings.warn(
            f"X has {len(table.whole):,} columns of whole numbers; at most {MOST_COLUMNS:,} are "
            "kept as such: round the samples yourself",
            ZooWarning,
            stacklevel=3,
        )
    known, heavy = None, 0
    if standardise is not False:
        values = data.images.numpy()
        known, heavy = robust_standardise(by_channel(values) if series else values, size)
    radius = largest_radius(samples.images.numpy(), known)
    data = replace(data, standardise=known)
    return Prepared(data, held_out, held, table, False, heavy, radius)


def _split(
    samples: Images, table: Table | None, validation: Any, seed: int
) -> tuple[Images, Images | None]:
    """Return the part to train on and the one held out, drawn at random or given."""
    if not isinstance(validation, Real) and validation is not None:
        given = validation if isinstance(validation, tuple) else (validation, None)
        if len(given) not in (2, 3):
            raise ZooError("validation is a tuple; expected (X, labels) or (X, labels, condition)")
        if samples.given is not None and samples.given.values is None:
            given = (*given[:2], samples.given.known.source)
        x, labels, condition = (*given, None)[:3]
        held_out, other = samples_of(x, labels, condition, seed, "validation")
        _check_same_condition(held_out.given, samples.given)
        if held_out.shape != samples.shape:
            raise ZooError(
                f"validation has shape {held_out.shape} per sample, X has {samples.shape}"
            )
        if table is not None and other is not None and table.columns != other.columns:
            raise ZooError("validation has other columns than X; give the same, in the same order")
        return samples, with_classes_of(samples, held_out)
    part = 0.0 if validation is None else float(validation)
    if not 0 <= part < 1:
        raise ZooError(
            f"validation = {brief(validation)}; expected a fraction in [0, 1), or held-out data"
        )
    count = min(math.ceil(part * len(samples)), MOST, len(samples) - 1)
    if not count:
        return samples, None
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    held = torch.zeros(len(samples), dtype=torch.bool)
    held[order[:count]] = True
    return _rows(samples, ~held), _rows(samples, held)


def _check_same_condition(found: Conditions | None, expected: Conditions | None) -> None:
    """Raise ZooError unless held-out data are given what the others are, in the same order."""
    shapes = [None if each is None else each.known.shape for each in (found, expected)]
    if shapes[0] != shapes[1]:
        raise ZooError(
            f"validation has conditions of shape {shapes[0]}, X of {shapes[1]}; give "
            "validation=(X, labels, condition)"
        )
    names = [[column.name for column in each.known.columns] for each in (found, expected) if each]
    if names and all(names) and names[0] != names[1]:
        raise ZooError(
            "the condition of the validation has other columns than that of X; give the same, in "
            "the same order"
        )


def _rows(samples: Images, chosen: torch.Tensor) -> Images:
    labels = samples.labels
    return replace(
        samples,
        images=samples.images[chosen],
        labels=None if labels is None else labels[chosen],
        given=None if samples.given is None else samples.given.rows(chosen),
    )


def _repeated(samples: Images, times: int) -> Images:
    """Return each sample so many times, each with noise of its own in a loss."""
    labels = samples.labels
    return replace(
        samples,
        images=samples.images.repeat(times, *[1] * len(samples.shape)),
        labels=None if labels is None else labels.repeat(times),
        given=None if samples.given is None else samples.given.repeated(times),
    )


def _are_bytes(x: Any) -> bool:
    return str(getattr(x, "dtype", "")).endswith("uint8")

"""What samples are drawn given: classes and conditions, one for all of them or one for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.config.condition import Condition
from zoo.errors import ZooError
from zoo.interfaces.checks import all_finite, describe_value
from zoo.sampling.arguments import Numbers, as_tensor, by_name, class_numbers


@dataclass(frozen=True)
class Given:
    """Labels and conditions of samples.

    Attributes:
        labels: class numbers, () of all or (n,); None for none.
        condition: as the network sees it, (*shape) of all or (n, *shape); None for none.
        one: number of dimensions of one condition.
    """

    labels: Tensor | None = None
    condition: Tensor | None = None
    one: int = 0

    def of(self, n: int, before: int = 0, after: int = 0) -> Given:
        """Return them for n samples with others around, a row for each.

        What is of all is that of the others too; else theirs are hidden.
        """
        labels = None if self.labels is None else _rows(self.labels, 0, n, before, after)
        condition = self.condition
        if condition is not None:
            condition = _rows(condition, self.one, n, before, after)
        return Given(labels, condition, self.one)

    def part(self, first: int, last: int, device: torch.device) -> Given:
        """Return rows first..last-1 on a device."""

        def part(given: Tensor | None) -> Tensor | None:
            return None if given is None else given[first:last].to(device)

        return Given(part(self.labels), part(self.condition), self.one)


def hidden(given: Tensor) -> float:
    """Return what stands for no class, or for each number of no condition."""
    return math.nan if given.is_floating_point() else -1


def _rows(value: Tensor, one: int, n: int, before: int, after: int) -> Tensor:
    if value.ndim == one:
        return value.expand(before + n + after, *value.shape)
    if not before and not after:
        return value
    ends = [value.new_full((k, *value.shape[1:]), hidden(value)) for k in (before, after)]
    return torch.cat([ends[0], value, ends[1]])


def given_of(
    labels: Numbers | None,
    condition: Numbers | None,
    *,
    classes: int,
    names: Sequence[str],
    known: Condition | None,
    guidance: float,
    n: int,
) -> Given:
    """Return what the caller of a model's method gave, checked.

    Args:
        labels: as for `class_numbers`.
        condition: one for all or n of them, in data units; a data frame where conditions have
            named columns.
        classes: number of classes of the network.
        names: of the classes.
        known: what the model is conditioned on, None for nothing.
        guidance: a finite number; other than 1 it needs labels or a condition.
        n: number of samples.

    Raises:
        ZooError: not what the model takes; or no condition, where it takes one.
    """
    given = condition_rows(condition, known, n)
    label = class_numbers(labels, classes, guidance, n, names, conditional=given is not None)
    return Given(label, given, 0 if known is None else len(known.shape))


def typical(known: Condition | None) -> Tensor | None:
    """Return the mean of the conditions, (*shape), in data units; None where there are none."""
    if known is None:
        return None
    mean = torch.zeros(1, *known.shape, dtype=torch.float64)
    return (mean if known.standardise is None else known.standardise.undo(mean))[0]


def condition_rows(condition: Any, known: Condition | None, n: int) -> Tensor | None:
    """Return a condition (*shape) or n of them (n, *shape), float64, as the network sees them.

    One row is one condition for all.

    Raises:
        ZooError: another shape, not finite, or one where there should be none or the reverse.
    """
    if known is None:
        if condition is not None:
            raise ZooError("condition given, but the model takes none: it was trained without one")
        return None
    if condition is None:
        raise ZooError(
            f"the model draws samples given a condition, {known}; give condition=, one for all or "
            "one for each"
        )
    value = as_tensor(
        "condition", by_name("condition", condition, known.columns), booleans=True
    ).detach()
    if not value.is_floating_point() and ":" in known.source:
        raise ZooError(
            f"condition is of {describe_value(value)}; expected floating-point numbers, as "
            f"{known.source} makes them of images in [-1, 1]"
        )
    if value.ndim == 0 and known.shape == (1,):
        value = value[None]
    if n > 1 and tuple(value.shape) == (1, *known.shape):
        value = value[0]
    whole = tuple(value.shape)
    if whole != known.shape and whole != (n, *known.shape):
        shape = ", ".join(map(str, known.shape))
        raise ZooError(
            f"condition has shape {whole}; the model takes {known}: ({shape},) for all, or "
            f"({n}, {shape}), one for each"
        )
    value = value.double()
    rows = value.reshape(-1, *known.shape)
    seen = rows if known.standardise is None else known.standardise.apply(rows)
    if not all_finite(value) or not all_finite(seen.float()):
        sound = seen.flatten(1).float().isfinite().all(dim=1)
        first = f", the first in row {int((~sound).nonzero()[0])}" if len(rows) > 1 else ""
        raise ZooError(f"condition is not finite: it holds NaN or infinity{first}")
    return seen.reshape(value.shape)

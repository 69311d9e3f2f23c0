"""Conditions as backbones see them: finite, with one more channel that says whether they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import check_integer


def check_condition_shape(condition: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return the shape of one condition as a tuple, None for none.

    Raises:
        ZooError: it is no shape of a vector, a series or an image.
    """
    if condition is None:
        return None
    if isinstance(condition, str) or not isinstance(condition, Sequence) or not condition:
        raise ZooError(
            f"condition = {condition!r}; expected the shape of one: [k], [C, L] or [C, H, W]"
        )
    if len(condition) > 3:
        raise ZooError(f"condition = {[*condition]!r}; expected at most 3 sizes")
    return tuple(check_integer("condition", size, 1) for size in condition)


def seen_condition(condition: Tensor | None, shape: tuple[int, ...], x: Tensor) -> Tensor:
    """Return conditions for a backbone, (B, k + 1) or (B, C + 1, ...), of the dtype of x.

    The last channel is 1 where the condition is known. It and all others are 0 where it is hidden.

    Args:
        condition: (B, *shape), a row of NaN where it is hidden; None for all.
        shape: of one condition.
        x: (B, *).

    Raises:
        ZooError: another shape.
    """
    if condition is None:
        return x.new_zeros(len(x), shape[0] + 1, *shape[1:])
    if tuple(condition.shape) != (len(x), *shape):
        raise ZooError(f"condition has shape {tuple(condition.shape)}; expected {(len(x), *shape)}")
    rows = condition.to(x).flatten(1)
    known = ~rows.isnan().any(dim=1, keepdim=True)
    values = torch.where(known, rows, 0.0).reshape(condition.shape)
    flag = known.to(x).reshape(-1, *[1] * len(shape)).expand(-1, 1, *shape[1:])
    return torch.cat([values, flag], dim=1)

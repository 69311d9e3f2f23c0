"""Samples drawn by several processes, each a part of the numbers 0 ... n - 1.

torchrun --nproc-per-node 2 -m zoo sample NAME -n 64 -o grid.png
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.models.model import FieldModel
from zoo.sampling.distributed import DistributedContext
from zoo.sampling.given import condition_rows
from zoo.sampling.rng import GROUP


def sample_sharded(
    model: FieldModel,
    context: DistributedContext,
    n: int,
    *,
    labels: int | str | Tensor | None = None,
    condition: Tensor | None = None,
    **options: Any,
) -> Tensor | None:
    """Return model.sample(n, ...) of all options in the first process, None in the others.

    The result is that of one process, to the last bit on the CPU; processes draw groups of 16.
    Options, a seed among them, and errors are those of `sample`.
    """
    groups = -(-n // GROUP)
    ranks = (context.rank, context.rank + 1)
    first, last = (min(n, GROUP * (k * groups // context.size)) for k in ranks)
    rows = torch.empty(0, *model.shape)
    if first < last:
        part = labels[first:last] if isinstance(labels, Tensor) else labels
        known = model.condition
        condition_rows(condition, known, n)
        if condition is not None and known is not None and condition.ndim > len(known.shape):
            condition = condition if len(condition) == 1 else condition[first:last]
        rows = model.sample(last - first, first=first, labels=part, condition=condition, **options)
    return context.gather_rows(rows)

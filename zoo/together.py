"""Samples drawn by several processes, each its share of the numbers 0 ... n - 1.

torchrun --nproc-per-node 2 -m zoo sample NAME -n 64 -o grid.png
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.model import FieldModel
from zoo.noise import GROUP
from zoo.train.world import World


def sample_together(model: FieldModel, world: World, n: int, **options: Any) -> Tensor | None:
    """Return model.sample(n, **options) in the first process, None in the others.

    The result is that of one process, to the last bit on the CPU. Shares are whole groups of 16.

    Args:
        model: the same in every process.
        world: this process among them.
        n: number of samples.
        options: as for `sample`, with a seed; labels are one class number for all.

    Raises:
        ZooError: as `sample`.
    """
    groups = -(-n // GROUP)
    first, last = (min(n, GROUP * (k * groups // world.size)) for k in (world.rank, world.rank + 1))
    rows = torch.empty(0, *model.shape)
    if first < last:
        rows = model.sample(last - first, first=first, **options)
    return world.joined(rows)

"""Work on rows in batches that the accelerator's memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Draw = Callable[[int, int], Tensor]


def in_batches(draw: Draw, first: int, last: int, size: int, least: int) -> Iterator[Tensor]:
    """Yield draw(a, b) for batches a..b-1 of `size` rows that cover first..last-1, in order.

    Where a batch does not fit into an accelerator's memory, it and those after it are halved, in
    multiples of `least`. Rows must not depend on the batch they are in.

    Raises:
        torch.OutOfMemoryError: `least` rows are too many.
    """
    while first < last:
        end = min(first + size, last)
        try:
            rows = draw(first, end)
        except torch.OutOfMemoryError:
            if size <= least:
                raise
            rows = None  # go on outside: the exception holds what was allocated
        if rows is None:
            size = max(least, min(size, end - first) // (2 * least) * least)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        yield rows
        first = end

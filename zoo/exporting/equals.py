"""Functions of torch that ONNX lacks, by others that it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def median(x: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """Return the median (the lower of two) and no indices, as torch.median along a dimension."""
    smallest = torch.topk(x, (x.shape[dim] + 1) // 2, dim=dim, largest=False)
    values, indices = (found.narrow(dim, found.shape[dim] - 1, 1) for found in smallest)
    if not keepdim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return torch.return_types.median((values, indices))


def searchsorted(table: Tensor, values: Tensor, *, right: bool = False) -> Tensor:
    """Return how many of a table's numbers, (n,) sorted, are below (or not above) each value."""
    below = table <= values[..., None] if right else table < values[..., None]
    return below.sum(dim=-1)


EQUALS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.median: median,
    Tensor.median: median,
    torch.searchsorted: searchsorted,
}

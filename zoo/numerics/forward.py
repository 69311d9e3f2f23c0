"""Derivatives along one direction, by forward-mode autodiff."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


@cache
def _load_rules() -> None:
    # torch loads its forward-mode rules on first use, with a deprecation warning of its own.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.func.jvp(torch.exp, (torch.zeros(1),), (torch.ones(1),))


def derivative(
    function: Callable[[Tensor], Tensor], at: Tensor, tangent: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (function(at), its derivative along `tangent`), both like the function's value."""
    _load_rules()
    # Clones: forward mode refuses expanded tensors, whose elements share memory.
    value, rate = torch.func.jvp(function, (at.clone(),), (tangent.clone(),))[:2]
    return value, rate


def broadcast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors expanded to their common shape."""
    together = torch.broadcast_tensors(*tensors)  # type: ignore[no-untyped-call]
    return tuple(together)

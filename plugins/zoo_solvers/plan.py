"""A walk worked out before it begins: nodes, and the coefficients of every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from zoo_solvers.coefficients import Line

# Python numbers where all samples share them, tensors with one number per sample where each has
# its own: times (B,), coefficients (B, 1, ...).
Number = float | Tensor

_ZERO = torch.zeros(())


@dataclass(frozen=True)
class Plan:
    """Coefficients of x' = shrink x + sum of weights D_i, D_{i-1}, ...

    Attributes:
        times: steps + 1 times.
        nominal: steps + 1 times as floats, for callbacks.
        shrink: sigma'/sigma per step.
        weights: per step, of the denoiser's values, newest first.
    """

    times: Sequence[Number]
    nominal: list[float]
    shrink: Sequence[Number]
    weights: Sequence[Sequence[Number]]


def make_plan(line: Line, table: Tensor, times: Tensor, nominal: list[float], like: Tensor) -> Plan:
    """Return the plan of a line and its table of weights, shape (steps, order, ...).

    `like` is a value that the weights multiply: coefficients of one number per sample are shaped
    (B, 1, ...) to suit it, and the weights get its dtype.
    """
    if times.ndim == 1:
        return Plan(times.tolist(), nominal, line.shrink().tolist(), table.tolist())

    def spread(v: Tensor) -> Tensor:
        return v.reshape(*v.shape, *(1,) * (like.ndim - 1))

    weights = [w.unbind() for w in spread(table.to(like.dtype))]
    return Plan(times.unbind(), nominal, spread(line.shrink()).unbind(), weights)


def mix(x: Tensor, shrink: Number, weights: Sequence[Number], values: Sequence[Tensor]) -> Tensor:
    """Return shrink x + sum of weights values, a new tensor shaped like x, (B, *).

    The sum is formed in the values' dtype, since they have no more digits, and added in x's.
    """
    if min(len(weights), len(values)) == 1:
        return _add(values[0].to(x.dtype, copy=True).mul_(weights[0]), x, shrink)
    total = _scaled(values[0], weights[0])
    for weight, value in zip(weights[1:], islice(values, 1, None), strict=False):
        _add(total, value, weight)
    return _add(total.to(x.dtype), x, shrink)


def _scaled(value: Tensor, weight: Number) -> Tensor:
    if isinstance(weight, Tensor):
        return value * weight
    # Not value * weight: torch first makes a tensor of the number, and casts it.
    return torch.add(_ZERO, value, alpha=weight)


def _add(total: Tensor, value: Tensor, weight: Number) -> Tensor:
    if isinstance(weight, Tensor):
        return total.addcmul_(value, weight)
    return total.add_(value, alpha=weight)

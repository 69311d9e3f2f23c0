"""A walk worked out before it begins: nodes, and the coefficients of every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from zoo_solvers.coefficients import Weights

# Python numbers where all samples share them, tensors with one number per sample where each has
# its own: times (B,), coefficients (B, 1, ...).
Number = float | Tensor

_ZERO = torch.zeros(())


@dataclass(frozen=True)
class Plan:
    """Coefficients of x_{i+1} = sum of weights of x_i, x_{i-1}, ... and of V_i, V_{i-1}, ...

    Attributes:
        times: steps + 1 times.
        nominal: steps + 1 times as floats, for callbacks.
        states: per step, weights of the states, newest first.
        values: per step, weights of the evaluations, newest first.
    """

    times: Sequence[Number]
    nominal: list[float]
    states: Sequence[Sequence[Number]]
    values: Sequence[Sequence[Number]]


def make_plan(
    times: Sequence[Number],
    nominal: list[float],
    weights: Weights,
    state: Tensor,
    value: Tensor,
) -> Plan:
    """Return the plan of a walk whose weights multiply states and values like these.

    Weights of one number per sample are shaped (B, 1, ...) to suit them, and get their dtypes.
    """
    table, count = weights
    values = _rows(table, value)
    states = values if state.dtype == value.dtype else _rows(table, state)
    return Plan(times, nominal, [row[:count] for row in states], [row[count:] for row in values])


def _rows(table: Tensor, like: Tensor) -> Sequence[Sequence[Number]]:
    """Return what multiplies tensors like `like` in every step."""
    steps, count, *batch = table.shape
    if not batch:
        return table.tolist()
    flat = table.to(like.dtype).reshape(steps * count, *batch, *(1,) * (like.ndim - 1)).unbind()
    return [flat[i : i + count] for i in range(0, len(flat), count)]


def mix(
    states: Sequence[Tensor],
    on_states: Sequence[Number],
    values: Sequence[Tensor],
    on_values: Sequence[Number],
    work: Tensor | None = None,
) -> Tensor:
    """Return the sum of weights times states and of weights times values, a new tensor (B, *).

    The sum of the values is formed in their dtype, since they have no more digits, and added in
    the states'. Weights of what is not there yet, early in a walk, are left out. `work`, like a
    value and of another dtype than the states, is overwritten.
    """
    dtype = states[0].dtype
    if values[0].dtype != dtype and min(len(on_values), len(values)) == 1:
        total = values[0].to(dtype, copy=True).mul_(on_values[0])
    else:
        total = _scaled(values[0], on_values[0], work)
        for value, weight in zip(islice(values, 1, None), on_values[1:], strict=False):
            _add(total, value, weight)
        total = total.to(dtype)
    for state, weight in zip(states, on_states, strict=False):
        _add(total, state, weight)
    return total


def _scaled(value: Tensor, weight: Number, out: Tensor | None) -> Tensor:
    if isinstance(weight, Tensor):
        return torch.mul(value, weight, out=out)
    # Not value * weight: torch first makes a tensor of the number, and casts it.
    return torch.add(_ZERO, value, alpha=weight, out=out)


def _add(total: Tensor, value: Tensor, weight: Number) -> None:
    if isinstance(weight, Tensor):
        total.addcmul_(value, weight)
    else:
        total.add_(value, alpha=weight)

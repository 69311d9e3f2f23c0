"""A walk worked out before it begins: nodes, and the coefficients of every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from zoo_solvers.coefficients import Line

# Python numbers where all samples share them, tensors with one number per sample where each has
# its own: times (B,), coefficients (B, 1, ...).
Number = float | Tensor


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


def make_plan(line: Line, table: Tensor, times: Tensor, nominal: list[float], ndim: int) -> Plan:
    """Return the plan of a line and its table of weights, shape (steps, order, ...).

    `ndim` is the state's: coefficients of one number per sample are shaped (B, 1, ...) to suit it.
    """
    if times.ndim == 1:
        return Plan(times.tolist(), nominal, line.shrink().tolist(), table.tolist())

    def spread(v: Tensor) -> tuple[Tensor, ...]:
        return v.reshape(*v.shape, *(1,) * (ndim - 1)).unbind()

    return Plan(times.unbind(), nominal, spread(line.shrink()), [spread(w) for w in table])


def mix(x: Tensor, shrink: Number, weights: Sequence[Number], values: Sequence[Tensor]) -> Tensor:
    """Return shrink x + sum of weights values, a new tensor shaped like x, (B, *)."""
    return _add(x * shrink, weights, values)


def advance(
    x: Tensor, shrink: Number, weights: Sequence[Number], values: Sequence[Tensor]
) -> Tensor:
    """Return shrink x + sum of weights values, (B, *), written over x."""
    # A classical method leaves x as it is: no pass over the state for that.
    kept = x if isinstance(shrink, float) and shrink == 1.0 else x.mul_(shrink)
    return _add(kept, weights, values)


def _add(total: Tensor, weights: Sequence[Number], values: Sequence[Tensor]) -> Tensor:
    for weight, value in zip(weights, values, strict=False):
        if isinstance(weight, Tensor):
            total.addcmul_(value, weight)
        else:
            total.add_(value, alpha=weight)
    return total

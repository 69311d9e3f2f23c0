"""A walk worked out before it begins: nodes, and the coefficients of every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from zoo.interfaces import over
from zoo_solvers.coefficients import Line

# Python numbers where all samples share them, tensors (B,) where each has its own.
Number = float | Tensor


@dataclass(frozen=True)
class Plan:
    """Coefficients of x' = shrink x + sum of weights D_i, D_{i-1}, ...

    Attributes:
        times: steps + 1 times, of a float or (B,) each.
        nominal: steps + 1 times as floats, for callbacks.
        shrink: sigma'/sigma per step.
        weights: per step, of the denoiser's values, newest first.
    """

    times: Sequence[Number]
    nominal: list[float]
    shrink: Sequence[Number]
    weights: Sequence[Sequence[Number]]


def make_plan(line: Line, table: Tensor, times: Tensor, nominal: list[float]) -> Plan:
    """Return the plan of a line and its table of weights, shape (steps, order, ...)."""
    if times.ndim == 1:
        return Plan(times.tolist(), nominal, line.shrink().tolist(), table.tolist())
    return Plan(times.unbind(), nominal, line.shrink().unbind(), [w.unbind() for w in table])


def mix(x: Tensor, shrink: Number, weights: Sequence[Number], values: Sequence[Tensor]) -> Tensor:
    """Return shrink x + sum of weights values, a new tensor shaped like x, (B, *)."""
    if not isinstance(shrink, Tensor):
        total = x * shrink
        for weight, value in zip(weights, values, strict=False):
            assert not isinstance(weight, Tensor)
            total.add_(value, alpha=weight)
        return total
    total = x * over(shrink, x)
    for weight, value in zip(weights, values, strict=False):
        total.addcmul_(value, over(weight, x))
    return total

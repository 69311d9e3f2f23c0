"""Bracketed root finding for many equations at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Bisection alone brings a bracket of any useful width below rounding in this many steps.
MAX_STEPS = 120


def _squash(value: Tensor) -> Tensor:
    """Return `value` mapped into [-1, 1]; signs are kept, small values hardly change."""
    value = value.nan_to_num(nan=1.0, posinf=1e300, neginf=-1e300)
    return value / (1 + value.abs())


def solve_increasing(
    function: Callable[[Tensor], Tensor],
    low: Tensor,
    high: Tensor,
    *,
    at_low: Tensor | None = None,
    at_high: Tensor | None = None,
    tolerance: float = 4e-16,
) -> Tensor:
    """Return the roots of an increasing function, elementwise, each within [low, high].

    Chandrupatla's method (Advances in Engineering Software 28, 1997): inverse quadratic
    interpolation where the last three points allow it, bisection elsewhere. The bracket always
    holds the root, so a flat or step-like function takes more steps and the root is still right.

    Args:
        function: elementwise, same shape in and out; NaN counts as "above the root".
        low: lower ends of the brackets.
        high: upper ends.
        at_low: function at `low`, <= 0; a bound or a limit is enough. By default -1.
        at_high: function at `high`, >= 0. By default 1.
        tolerance: width of the last bracket, relative to the root, or absolute below 1.
    """
    # a is the newest point, b the other end of the bracket, c the point before.
    a, f_a = high, _squash(torch.ones_like(high) if at_high is None else at_high)
    b, f_b = low, _squash(-torch.ones_like(low) if at_low is None else at_low)
    c, f_c = a, f_a
    fraction = torch.full_like(a, 0.5)
    for _ in range(MAX_STEPS):
        x = a + fraction * (b - a)
        f_x = _squash(function(x))
        same = f_x.sign() == f_a.sign()
        c, f_c = torch.where(same, a, b), torch.where(same, f_a, f_b)
        b, f_b = torch.where(same, b, a), torch.where(same, f_b, f_a)
        a, f_a = x, f_x
        best = torch.where(f_a.abs() < f_b.abs(), a, b)
        smallest = tolerance * best.abs().clamp(min=1.0) / (b - a).abs()
        done = (smallest > 0.5) | (f_a == 0)
        if bool(done.all()):
            break
        xi = (a - b) / (c - b)
        phi = (f_a - f_b) / (f_c - f_b)
        smooth = (phi.square() < xi) & ((1 - phi).square() < 1 - xi)
        inverse = f_a / (f_b - f_a) * f_c / (f_b - f_c) + (c - a) / (b - a) * (
            f_a / (f_c - f_a)
        ) * (f_b / (f_c - f_b))
        fraction = torch.where(smooth & inverse.isfinite(), inverse, torch.full_like(a, 0.5))
        smallest = smallest.nan_to_num(nan=0.5).clamp(max=0.5)
        fraction = torch.minimum(torch.maximum(fraction, smallest), 1 - smallest)
        # A root once found does not move any more.
        fraction = torch.where(done, torch.zeros_like(fraction), fraction)
    return torch.where(f_a.abs() < f_b.abs(), a, b)

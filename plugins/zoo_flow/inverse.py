"""Inverting a map in z: coordinate by coordinate, or by Newton's method on all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import over
from zoo.numerics import derivative, solve_increasing

MapOfZ = Callable[[Tensor], Tensor]

# z = sinh(w) is looked for in |w| < 60, |z| < 5e25.
_SPAN = 60.0
_CLOSE, _NEWTON_STEPS, _HALVINGS = 1e-9, 60, 30


def _unreached(error: Tensor, x_t: Tensor) -> bool:
    scale = 1 + x_t.detach().flatten(1).norm(dim=1)
    return bool(((error.detach().flatten(1).norm(dim=1) / scale) > _CLOSE).any())


def elementwise_inverse(function: MapOfZ, x_t: Tensor) -> Tensor:
    """Return z with function(z) = x_t, for a function monotone in every coordinate alone.

    Differentiable in x_t and in what `function` closes over, by the implicit function theorem.

    Raises:
        ZooError: x_t is outside the function's range.
    """
    with torch.no_grad():
        span = torch.full_like(x_t, _SPAN)
        rises = (function(torch.ones_like(x_t)) - function(-torch.ones_like(x_t))).sign()
        rises = torch.where(rises == 0, 1.0, rises)
        w = solve_increasing(lambda w: rises * (function(w.sinh()) - x_t), -span, span)
    z = w.sinh()
    value, slope = derivative(function, z, torch.ones_like(z))
    if _unreached(value - x_t, x_t):
        raise ZooError("map does not reach x_t: it has to be monotone in z, onto all numbers")
    return z - (value - x_t) / slope.detach()


def jacobian(function: MapOfZ, z: Tensor) -> Tensor:
    """Return d function / d z per sample, shape (B, d, d), one forward-mode pass per coordinate."""
    dim = z[0].numel()
    columns = []
    for j in range(dim):
        tangent = torch.zeros_like(z).flatten(1)
        tangent[:, j] = 1
        _, column = derivative(function, z, tangent.reshape(z.shape))
        columns.append(column.flatten(1))
    return torch.stack(columns, dim=2)


def newton_inverse(function: MapOfZ, x_t: Tensor) -> Tensor:
    """Return z with function(z) = x_t by damped Newton steps from z = 0.

    Differentiable in x_t and in what `function` closes over, by the implicit function theorem.

    Raises:
        ZooError: it does not converge.
    """
    with torch.no_grad():
        z = torch.zeros_like(x_t)
        error = function(z) - x_t
        for _ in range(_NEWTON_STEPS):
            step = _solve(jacobian(function, z), error)
            z, new = _damped(function, x_t, z, step, error)
            settled = bool((new.abs() >= error.abs()).all()) and not _unreached(new, x_t)
            error = new
            if settled:
                break
    if _unreached(error, x_t):
        raise ZooError("map cannot be inverted by Newton's method from z = 0; give its inverse")
    with torch.no_grad():
        matrix = jacobian(function, z)
    return z - _solve(matrix, function(z) - x_t)


def _solve(matrix: Tensor, error: Tensor) -> Tensor:
    step, failed = torch.linalg.solve_ex(matrix, error.flatten(1)[..., None])
    if bool(failed.any()):
        raise ZooError("map is not invertible in z: its Jacobian is singular")
    solved: Tensor = step.reshape(error.shape)
    return solved


def _damped(
    function: MapOfZ, x_t: Tensor, z: Tensor, step: Tensor, error: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (z, error) after the longest step of 1, 1/2, 1/4 ... that reduces the error."""
    size = error.flatten(1).norm(dim=1)
    fraction = torch.ones_like(size)
    for _ in range(_HALVINGS):
        new = z - over(fraction, z) * step
        left = function(new) - x_t
        worse = ~(left.flatten(1).norm(dim=1) <= size)
        if not bool(worse.any()):
            break
        fraction = torch.where(worse, fraction / 2, fraction)
    return new, left

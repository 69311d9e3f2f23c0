"""Linear systems known by what they do to a vector: generalised conjugate residuals, by rows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.numerics.rows import beside, power_of_two, row_dot, row_norm

# What a direction leads to: (step, image); the step is what is summed, the image its residual.
Direction = Callable[[Tensor], tuple[Tensor, Tensor]]


def minimal_residual(
    direction: Direction, residual: Tensor, *, iterations: int, tolerance: float = 0.0
) -> Tensor:
    """Return the sum of steps whose images come closest to the residual, one system per row.

    GCR (Eisenstat, Elman and Schultz, SIAM J. Numer. Anal. 20, 1983): GMRES without its matrix.
    The residual never grows, whatever the operator: symmetric, positive or neither. A row that has
    arrived stays as it is, so its result does not depend on the others of the batch.

    Args:
        direction: p (B, *out) -> (step (B, *shape), image (B, *out)); both linear in p, each row
            by itself.
        residual: what the images have to add up to, (B, *out).
        iterations: at most so many directions.
        tolerance: a row has arrived where its residual is that small, relative to the first.
    """
    largest = residual.flatten(1).abs().amax(dim=1)  # else squares overflow
    whole = torch.where((largest > 0) & largest.isfinite(), largest, 1)
    residual = residual / beside(whole, residual)
    total = None
    known: list[tuple[Tensor, Tensor]] = []
    least = tolerance * row_norm(residual)
    for _ in range(min(iterations, residual[0].numel())):  # as many directions span all of it
        going = row_norm(residual) > least
        if total is not None and not bool(going.any()):
            break
        step, image = direction(residual)
        unit = power_of_two(image)  # as above
        step, image = step / beside(unit, step), image / beside(unit, image)
        for old_step, old_image in known:
            along = row_dot(image, old_image)
            image = image - beside(along, image) * old_image
            step = step - beside(along, step) * old_step
        size = row_norm(image)
        there = going & (size > 0) & size.isfinite()
        scale = torch.where(there, 1 / size.clamp(min=torch.finfo(size.dtype).tiny), 0)
        # Where a row is left out it may be inf, and inf * 0 is not 0.
        image, step = _scaled(scale, image), _scaled(scale, step)
        known.append((step, image))
        amount = row_dot(residual, image)
        residual = residual - beside(amount, image) * image
        part = beside(amount, step) * step
        total = part if total is None else total + part
    assert total is not None, "no iteration"
    return total * beside(whole, total)


def _scaled(numbers: Tensor, x: Tensor) -> Tensor:
    on = beside(numbers, x)
    return torch.where(on == 0, 0, on * x)

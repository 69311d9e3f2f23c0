"""A step along a direction, no longer than the observation justifies."""

from __future__ import annotations

from torch import Tensor

from zoo.interfaces import Near, over
from zoo.numerics import power_of_two, row_dot


def damped(near: Near, step: Tensor, weight: Tensor) -> Tensor:
    """Return the step c V A^T w, (B, *shape), with c in [0, 1] such that it fits y best.

        c = argmin |residual - c (A V A^T + I) w|

    A covariance that is one number for all directions is wrong by orders of magnitude where a
    sample's data are few or lie on a manifold; a step as published then goes many times too far.

    Args:
        near: the observation.
        step: V A^T w, (B, *shape).
        weight: w, (B, *out).
    """
    image = near.push(step) + weight
    size = over(power_of_two(image), image)  # else squares overflow
    image = image / size
    along, square = row_dot(near.residual / size, image), row_dot(image, image)
    return over((along / square.clamp(min=1e-30)).clamp(0, 1), step) * step

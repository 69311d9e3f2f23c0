"""A step along a direction, no longer than the observation justifies."""

from __future__ import annotations

from torch import Tensor

from zoo.interfaces import Near, over


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
    image = (near.push(step) + weight).flatten(1)
    along = (near.residual.flatten(1) * image).sum(dim=1)
    square = image.square().sum(dim=1)
    return over((along / square.clamp(min=1e-30)).clamp(0, 1), step) * step

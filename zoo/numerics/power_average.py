"""Averages by a power of time, and one of any length as a combination of others.

    mean_gamma(T) = int_0^T tau^gamma theta(tau) dtau / int_0^T tau^gamma dtau

Its relative length, the standard deviation of the weight tau^gamma over T, is

    sigma = sqrt(gamma + 1) / ((gamma + 2) sqrt(gamma + 3))

Source: Karras et al., arXiv:2312.02696, section 3 and appendix C.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.errors import ZooError, brief

Numbers = NDArray[np.float64]
# gamma = 0, where all of time weighs the same.
LONGEST = 1 / math.sqrt(12)
SHORTEST = 0.001
_CELLS = 4096


class Profile(NamedTuple):
    """An average of a relative length at a time: step `step` >= 1 of a training."""

    length: float
    step: int


def check_length(length: Any) -> float:
    """Return a relative length; ZooError where it is no number from 0.001 to 1 / sqrt(12)."""
    real = isinstance(length, int | float | np.floating) and not isinstance(length, bool)
    if not real or not SHORTEST <= length <= LONGEST:
        raise ZooError(f"length = {brief(length)}; expected a number from {SHORTEST} to 0.288")
    return float(length)


def exponent(length: float) -> float:
    """Return gamma >= 0 of a relative length: the largest root of a cubic.

    gamma^3 + 7 gamma^2 + (16 - s) gamma + 12 - s = 0,   s = length^-2
    """
    s = length**-2
    return max(0.0, float(np.roots([1, 7, 16 - s, 12 - s]).real.max()))


def keep(length: float, step: int) -> float:
    """Return the part of the average that step number `step` (from 1) leaves of the one before.

        beta = (1 - 1 / step)^(gamma + 1),   mean <- beta mean + (1 - beta) theta

    With it theta(tau) is that of step ceil(tau), exactly; the first step leaves nothing.
    """
    return float((1 - 1 / step) ** (exponent(length) + 1))


def _edges(steps: Sequence[int], last: int) -> Numbers:
    """Return ends of at most some thousand cells of time, each step of `steps` among them."""
    even = np.linspace(0, last, min(last, _CELLS) + 1).round()
    return np.unique(np.concatenate([even, np.asarray(steps, dtype=float)]))


def _weights(profile: Profile, edges: Numbers) -> Numbers:
    """Return the root of the density of a profile's weight in each cell, times its width."""
    power = exponent(profile.length) + 1
    below = np.minimum(edges / profile.step, 1.0) ** power
    found: Numbers = np.diff(below) / np.sqrt(np.diff(edges))
    return found


def combine(known: Sequence[Profile], wanted: Sequence[Profile]) -> tuple[Numbers, Numbers]:
    """Return which combination of known averages is nearest to each of others, and how near.

        x = argmin int (p(tau) - sum_k x_k p_k(tau))^2 dtau   with sum_k x_k = 1

    p: weight of the average at tau. What all the averages share is kept by the constraint.

    Args:
        known: K >= 2 averages.
        wanted: W others, at steps up to the last of `known`.

    Returns:
        x (W, K), and the relative errors (W,): the root of the minimum over that of int p^2.
    """
    edges = _edges([p.step for p in known], max(p.step for p in (*known, *wanted)))
    basis = np.stack([_weights(p, edges) for p in known], axis=1)
    targets = np.stack([_weights(p, edges) for p in wanted], axis=1)
    # The constraint without a multiplier: differences from one average, whose share is the rest.
    base = basis[:, -1:]
    free = np.linalg.lstsq(basis[:, :-1] - base, targets - base, rcond=1e-12)[0]
    shares = np.concatenate([free, 1 - free.sum(axis=0, keepdims=True)])
    errors = np.linalg.norm(targets - basis @ shares, axis=0) / np.linalg.norm(targets, axis=0)
    return shares.T, errors

"""Two tasks of simulation-based inference whose posterior can be drawn exactly.

    theta ~ prior,  x ~ simulator(theta),  and `posterior` draws from p(theta | x_o).

Written from the definitions in J.-M. Lueckmann et al., "Benchmarking simulation-based inference",
arXiv:2101.04653, appendix T.1 (Gaussian linear) and T.8 (two moons).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Chance = np.random.Generator


@dataclass(frozen=True)
class Task:
    """A prior, a simulator, and the posterior given one observation.

    Attributes:
        name: of the task.
        dim: of theta.
        prior: (n, generator) -> theta (n, dim).
        simulator: (theta (n, dim), generator) -> x (n, k).
        posterior: (x_o (k,), n, generator) -> theta (n, dim).
        box: the prior is uniform on [-box, box] per coordinate; None where it is Gaussian.
        scale: standard deviation of a Gaussian prior.
    """

    name: str
    dim: int
    prior: Callable[[int, Chance], Array]
    simulator: Callable[[Array, Chance], Array]
    posterior: Callable[[Array, int, Chance], Array]
    box: float | None = None
    scale: float = 1.0

    def observations(self, count: int, seed: int) -> tuple[Array, Array]:
        """Return thetas drawn from the prior, and one observation of each."""
        chance = np.random.default_rng(seed)
        theta = self.prior(count, chance)
        return theta, self.simulator(theta, chance)


# Radius of the moons, its deviation, and how far they lie to the right.
_RADIUS, _WIDTH, _SHIFT = 0.1, 0.01, 0.25


def _moon(n: int, chance: Chance) -> Array:
    """Draw p = (r cos a + 0.25, r sin a), a ~ U(-pi/2, pi/2), r ~ N(0.1, 0.01^2): (n, 2)."""
    angle = chance.uniform(-math.pi / 2, math.pi / 2, n)
    radius = chance.normal(_RADIUS, _WIDTH, n)
    return np.stack([radius * np.cos(angle) + _SHIFT, radius * np.sin(angle)], axis=1)


def _two_moons(theta: Array, chance: Chance) -> Array:
    """Return x = p + (-|theta_1 + theta_2|, -theta_1 + theta_2) / sqrt 2."""
    folded = np.stack([-np.abs(theta.sum(axis=1)), theta[:, 1] - theta[:, 0]], axis=1)
    return _moon(len(theta), chance) + folded / math.sqrt(2)


def _two_moons_posterior(x: Array, n: int, chance: Chance) -> Array:
    """Draw theta given x: p as in the simulator, then the equations solved for theta.

    The map from p to theta is a rotation and a fold, which keep volume, and the prior is flat: what
    falls outside it, or has no solution, is drawn anew. Both signs of theta_1 + theta_2 are equal.
    """
    found: list[Array] = []
    while sum(map(len, found)) < n:
        p = _moon(2 * n, chance)
        along = (p[:, 0] - x[0]) * math.sqrt(2)
        across = (x[1] - p[:, 1]) * math.sqrt(2)
        signed = np.where(chance.random(2 * n) < 0.5, along, -along)
        theta = np.stack([signed - across, signed + across], axis=1) / 2
        found.append(theta[(along >= 0) & (np.abs(theta) <= 1).all(axis=1)])
    return np.concatenate(found)[:n]


_VARIANCE = 0.1


def _gaussian_posterior(x: Array, n: int, chance: Chance) -> Array:
    """Draw theta ~ N(x / 2, 0.05 I)."""
    return x / 2 + math.sqrt(_VARIANCE / 2) * chance.normal(size=(n, len(x)))


TASKS = {
    task.name: task
    for task in (
        Task(
            "two moons",
            2,
            lambda n, chance: chance.uniform(-1, 1, (n, 2)),
            _two_moons,
            _two_moons_posterior,
            box=1.0,
        ),
        Task(
            "Gaussian linear",
            10,
            lambda n, chance: math.sqrt(_VARIANCE) * chance.normal(size=(n, 10)),
            lambda theta, chance: theta + math.sqrt(_VARIANCE) * chance.normal(size=theta.shape),
            _gaussian_posterior,
            scale=math.sqrt(_VARIANCE),
        ),
    )
}

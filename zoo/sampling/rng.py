"""Random numbers that depend on (seed, index) alone: starting points, steps, probes, pixels.

Samples are drawn in fixed groups of 16, group g from a generator of its own seeded by (seed, g)
and always drawn whole. So sample i is the same whatever n, the batch size or the number of
processes, and nothing loops over samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import PriorSampler
from zoo.numerics.memory import memory_limit

GROUP = 16
# Streams of random numbers below one seed.
STARTS = 0
PROBES = 1
STEPS = 2
PIXELS = 3
TRAINING = 4
VALIDATION = 5
DISTILLED = 6


def seed_for(seed: int, *path: int) -> int:
    """Return a seed of 63 bits for a branch of random numbers below `seed`.

    Args:
        seed: any whole number.
        path: what the numbers are for, whole numbers of at least 0, such as (stream, group).

    By numpy's SeedSequence: branches are independent, and two of them never overlap in practice.
    """
    sequence = np.random.SeedSequence(abs(seed), spawn_key=(int(seed < 0), *path))
    return int(sequence.generate_state(1, np.uint64)[0]) >> 1


def step_seed(seed: int, step: int, stream: int = 0) -> int:
    """Return the seed of a step of a training; step -1 is before the first."""
    return seed_for(seed, TRAINING, step + 1, stream)


def whole_groups(first: int, n: int) -> tuple[int, int]:
    """Return the ends a..b-1 of the groups that samples first..first+n-1 are in."""
    return first // GROUP * GROUP, -(-(first + n) // GROUP) * GROUP


def by_group(
    first: int, last: int, seed: int, draw: Callable[[torch.Generator], Tensor], *path: int
) -> Tensor:
    """Return rows first..last-1 of those that `draw` makes, 16 at a time, from its generator.

    The generator of group g is seeded by (seed, *path, g); `path` is STARTS if not given.
    """
    groups = range(first // GROUP, -(-last // GROUP))
    if not groups:
        return draw(torch.Generator())[:0]
    path = path or (STARTS,)
    seeds = (seed_for(seed, *path, group) for group in groups)
    drawn = [draw(torch.Generator().manual_seed(s)) for s in seeds]
    offset = first - groups.start * GROUP
    return torch.cat(drawn)[offset : offset + last - first]


def starting_points(
    prior: PriorSampler, shape: tuple[int, ...], seed: int, first: int, last: int
) -> Tensor:
    """Return x_T of samples first..last-1, shape (last - first, *shape), float64, on the CPU.

    Raises:
        ZooError: this machine has not the memory for one group.
    """
    need, there = 8 * GROUP * math.prod(shape), memory_limit()
    if need > there:
        raise ZooError(
            f"{GROUP} samples of shape {shape}, which are drawn together, take {need / 1e9:.3g} GB "
            f"of memory; there are {there / 1e9:.3g}"
        )
    return by_group(first, last, seed, lambda g: prior.sample(GROUP, shape, g).double())


def step_noise(shape: tuple[int, ...], seed: int, step: int, first: int, last: int) -> Tensor:
    """Return N(0, I) for one step of samples first..last-1, (last - first, *shape), on the CPU."""
    return by_group(
        first, last, seed, lambda g: torch.randn(GROUP, *shape, generator=g), STEPS, step
    )

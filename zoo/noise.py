"""Random numbers that depend on (seed, index) alone: starting points, steps, probes, pixels.

Samples are drawn in fixed groups of 16, group g from a generator of its own seeded by (seed, g)
and always drawn whole. So sample i is the same whatever n, the batch size or the number of
processes, and nothing loops over samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from zoo.interfaces import PriorSampler

GROUP = 16
_MASK = 2**64 - 1


def mix(seed: int, index: int) -> int:
    """Return a 63-bit seed for the pair, by two rounds of splitmix64's finaliser."""
    z = (seed * 0x9E3779B97F4A7C15 + index * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & _MASK
    for _ in range(2):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        z ^= z >> 31
    return z >> 1


def whole_groups(first: int, n: int) -> tuple[int, int]:
    """Return the ends a..b-1 of the groups that samples first..first+n-1 are in."""
    return first // GROUP * GROUP, -(-(first + n) // GROUP) * GROUP


def seed_for(seed: int, *keys: int) -> int:
    """Return a 64-bit seed for a seed and one or more keys of 0 to 2^32 - 1: numpy's SeedSequence.

    The words that it is made from have fixed places, so no two of (seed, keys) share them.
    """
    words = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, len(keys), *keys]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


def by_group(
    first: int,
    last: int,
    seed: int,
    draw: Callable[[torch.Generator], Tensor],
    seed_of: Callable[[int, int], int] = mix,
) -> Tensor:
    """Return rows first..last-1 of those that `draw` makes, 16 at a time, from its generator.

    The generator of group g is seeded by seed_of(seed, g).
    """
    groups = range(first // GROUP, -(-last // GROUP))
    if not groups:
        return draw(torch.Generator())[:0]
    drawn = [draw(torch.Generator().manual_seed(seed_of(seed, group))) for group in groups]
    offset = first - groups.start * GROUP
    return torch.cat(drawn)[offset : offset + last - first]


def starting_points(
    prior: PriorSampler, shape: tuple[int, ...], seed: int, first: int, last: int
) -> Tensor:
    """Return x_T of samples first..last-1, shape (last - first, *shape), float64, on the CPU."""
    return by_group(first, last, seed, lambda g: prior.sample(GROUP, shape, g).double())


def step_noise(shape: tuple[int, ...], seed: int, step: int, first: int, last: int) -> Tensor:
    """Return N(0, I) for one step of samples first..last-1, (last - first, *shape), on the CPU."""
    return by_group(
        first,
        last,
        seed,
        lambda g: torch.randn(GROUP, *shape, generator=g),
        lambda seed, group: seed_for(seed, group, step),
    )

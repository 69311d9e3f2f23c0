"""Random numbers that depend on (seed, index) alone: starting points, probes, dequantisation.

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

from zoo.interfaces import PriorSampler

GROUP = 16
# Streams of random numbers below one seed.
STARTS = 0
PROBES = 1
STEPS = 2


def seed_for(seed: int, *path: int) -> int:
    """Return a seed of 63 bits for a branch of random numbers below `seed`.

    Args:
        seed: any whole number.
        path: what the numbers are for, whole numbers of at least 0, such as (stream, group).

    By numpy's SeedSequence: branches are independent, and two of them never overlap in practice.
    """
    sequence = np.random.SeedSequence(abs(seed), spawn_key=(int(seed < 0), *path))
    return int(sequence.generate_state(1, np.uint64)[0]) >> 1


def whole_groups(first: int, n: int) -> tuple[int, int]:
    """Return the ends a..b-1 of the groups that samples first..first+n-1 are in."""
    return first // GROUP * GROUP, -(-(first + n) // GROUP) * GROUP


def by_group(first: int, last: int, seed: int, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """Return rows first..last-1 of those that `draw` makes, 16 at a time, from its generator."""
    groups = range(first // GROUP, -(-last // GROUP))
    if not groups:
        return draw(torch.Generator())[:0]
    drawn = [draw(torch.Generator().manual_seed(seed_for(seed, STARTS, group))) for group in groups]
    offset = first - groups.start * GROUP
    return torch.cat(drawn)[offset : offset + last - first]


def starting_points(
    prior: PriorSampler, shape: tuple[int, ...], seed: int, first: int, last: int
) -> Tensor:
    """Return x_T of samples first..last-1, shape (last - first, *shape), float64, on the CPU."""
    return by_group(first, last, seed, lambda g: prior.sample(GROUP, shape, g).double())


def _signed(value: int) -> int:
    """Return the last 64 bits of a number as torch holds them."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)


_ROUNDS = ((30, _signed(0xBF58476D1CE4E5B9)), (27, _signed(0x94D049BB133111EB)))


def _shifted(z: Tensor, bits: int) -> Tensor:
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _mix(z: Tensor) -> Tensor:
    for bits, factor in _ROUNDS:
        z = (z ^ _shifted(z, bits)) * factor
    return z ^ _shifted(z, 31)


def _hash(key: Tensor, count: int) -> Tensor:
    """Return `count` hashes of each key, shape (*key.shape, count)."""
    numbers = torch.arange(1, count + 1, device=key.device) * _GOLDEN
    return _mix(key[..., None] + numbers)


def keys(x: Tensor) -> Tensor:
    """Return a hash of each sample of x, (B, *) float64, shape (B,), int64."""
    bits = x.flatten(1).contiguous().view(torch.int64)
    places = torch.arange(1, bits.shape[1] + 1, device=x.device) * _GOLDEN
    return _mix(_mix(bits + places).sum(dim=1))


def normal(key: Tensor, draw: int, like: Tensor) -> Tensor:
    """Return draw number `draw` of every key (B,): N(0, 1), shaped like `like`, (B, *), float64."""
    d = like[0].numel()
    half = (d + 1) // 2
    stream = _mix(key + _signed((draw + 1) * _GOLDEN))
    uniform = (_shifted(_hash(stream, 2 * half), 11).double() + 0.5) * 2.0**-53
    radius = (-2 * uniform[:, :half].log()).sqrt()
    turn = 2 * math.pi * uniform[:, half:]
    pair = torch.cat([radius * turn.cos(), radius * turn.sin()], dim=1)
    return pair[:, :d].reshape(like.shape)

"""Normal numbers that depend on a sample's own start alone, and on no batch, order or device.

Counter-based: number j of draw k of a sample is a hash of (its key, k, j), the key a hash of the
sample's starting point. The hash is splitmix64's finaliser (Steele, Lea and Flood, OOPSLA 2014);
normals are by Box and Muller. Integers wrap, so every sum is exact and in any order the same.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


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

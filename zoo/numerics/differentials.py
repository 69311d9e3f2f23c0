"""The sum rule and the product rule of LogJets, each with one exponent for all derivatives."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.numerics.logjet import LogJet, Slopes
from zoo.numerics.scaled import Scaled

_Scaled = tuple[Slopes, Tensor]  # with their exponent

# Derivatives that cancel to rounding are 0: to this size, relative to 10 + their exponent.
_CANCELS, _EXPONENT_CAP = 1e-15, 1e8


def plain_sum(a: LogJet, b: LogJet) -> LogJet:
    """Return a + b, which knows no terms."""
    top, f, g = _align(a.scaled.exponent, b.scaled.exponent)
    scaled = Scaled(a.scaled.mantissa * f + b.scaled.mantissa * g, top)
    slopes, exponent = _sum_slopes(a.slopes, a.exponent, b.slopes, b.exponent)
    return LogJet(a.plain + b.plain, scaled, slopes, exponent)


def plain_product(a: LogJet, b: LogJet, plain: Tensor) -> LogJet:
    """Return a b, whose value as a float is `plain`, and which knows no factors."""
    (m, e), (n, f) = a.scaled, b.scaled
    left = tuple(None if s is None else s * n for s in a.slopes), a.exponent + f
    right = tuple(None if s is None else s * m for s in b.slopes), b.exponent + e
    total = _sum_slopes(*left, *right)
    if all(any(s is not None for s in slopes) for slopes, _ in (left, right)):
        total = _cancelled(total, left)
    return LogJet(plain, Scaled(m * n, e + f).normal(), *total)


def _align(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a common exponent, and the factors that bring two exponents to it."""
    top = torch.maximum(a, b).detach()
    top = torch.where(top.isfinite(), top, 0.0)
    return top, (a - top).exp(), (b - top).exp()


def _sum_slopes(a: Slopes, a_exponent: Tensor, b: Slopes, b_exponent: Tensor) -> _Scaled:
    # A side without derivatives does not affect the exponent.
    if all(s is None for s in b):
        return a, a_exponent
    if all(s is None for s in a):
        return b, b_exponent
    top, f, g = _align(a_exponent, b_exponent)
    scaled_a = [None if s is None else s * f for s in a]
    scaled_b = [None if s is None else s * g for s in b]
    both = zip(scaled_a, scaled_b, strict=True)
    return tuple(p if q is None else q if p is None else p + q for p, q in both), top


def _cancelled(total: _Scaled, part: _Scaled) -> _Scaled:
    """Return a sum of two slopes, one of which is `part`, exactly 0 if rounding is left of it.

    That is so everywhere, or the two are not multiples of each other but far out.
    """
    (slopes, top), (parts, exponent) = total, part
    scale = _CANCELS * (10 + top.abs().clamp(max=_EXPONENT_CAP)) * (exponent - top).exp()

    def kept_of(s: Tensor | None, p: Tensor | None) -> Tensor | None:
        if s is None or p is None:
            return s
        return torch.where(((s.abs() <= scale * p.abs()) & s.isfinite()).all(), 0.0, s)

    kept = tuple(map(kept_of, slopes, parts))
    # What is 0 has no exponent that others are aligned to.
    none = torch.stack([s == 0 for s in kept if s is not None]).all(0)
    return kept, torch.where(none, -math.inf, top)

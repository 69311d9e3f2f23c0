"""Arithmetic of LogJets: sums, products and powers, with derivatives that do not cancel.

By the quotient rule the derivative of x/(1 + x) is a difference of two terms that agree to rounding
where x is large. So derivatives of a product of sums are collected over the terms of the sums:

    F = prod_k (sum_i f_ki)^p_k,   d log F = sum_i (prod_k f_ki) (sum_k p_k d log f_ki) / prod_k F_k

where i has one index per factor. The inner sums that vanish, such as d log x - d log x, vanish to
rounding in relative size, and are set to 0: x/(1 + x) keeps d log x / (1 + x) alone. Opposite terms
of a sum, and equal factors of a quotient, are dropped before.
"""

from __future__ import annotations

import math
from functools import reduce
from itertools import product
from typing import Any

import torch
from torch import Tensor

from zoo.numerics.differentials import plain_product, plain_sum
from zoo.numerics.logjet import Factors, LogJet, Power, chain, lift
from zoo.numerics.scaled import POWER_RANGE, Scaled

# Two values are equal to rounding.
_SAME = 1e-12
# Terms of a sum, and products of terms, up to which they are told apart.
_MOST_TERMS, _MOST_PRODUCTS = 8, 64


def _pair(a: Any, b: Any) -> tuple[LogJet, LogJet]:
    like = a if isinstance(a, LogJet) else b
    return lift(a, like), lift(b, like)


def neg(x: LogJet) -> LogJet:
    """Return -x."""
    scaled = Scaled(-x.scaled.mantissa, x.scaled.exponent)
    slopes = tuple(None if s is None else -s for s in x.slopes)
    value = LogJet(-x.plain, scaled, slopes, x.exponent)
    value.terms, value.factors = tuple(neg(term) for term in x.terms), x.factors
    return value


def add(a: Any, b: Any) -> LogJet:
    """Return a + b, without terms of a and b that are opposite at every point."""
    a, b = _pair(a, b)
    left, right = a.terms or (a,), b.terms or (b,)
    few = len(left) + len(right) <= _MOST_TERMS
    for (i, x), (j, y) in product(enumerate(left), enumerate(right)) if few else ():
        if _alike(x.factors, y.factors) and _equal(neg(x).scaled, y.scaled):
            kept = (*left[:i], *left[i + 1 :], *right[:j], *right[j + 1 :])
            return reduce(add, kept) if kept else lift(0.0, a)
    value = plain_sum(a, b)
    if not a.factors and not b.factors:
        value.factors = ()
    elif few:
        value.terms = (*left, *right)
    return value


def sub(a: Any, b: Any) -> LogJet:
    """Return a - b."""
    a, b = _pair(a, b)
    opposite = neg(b)
    if not a.factors and bool((a.plain == 1).all()) and (rest := complement(b)) is not None:
        rest.slopes, rest.exponent = opposite.slopes, opposite.exponent
        return rest
    return add(a, opposite)


def complement(x: LogJet) -> LogJet | None:
    """Return 1 - x to full precision where it is small, or None if it is not known.

    Where x is a term of a sum over the sum, it is the other terms over it.
    """
    if x.complement is not None:
        return x.complement()
    for i, (whole, power) in enumerate(x.factors):
        if not whole.terms or _number(power) != -1:
            continue
        top = (*x.factors[:i], *x.factors[i + 1 :])
        for j, term in enumerate(whole.terms):
            if _alike(term.factors, top) and _equal(_times(x, whole).scaled, term.scaled):
                return div(reduce(add, (*whole.terms[:j], *whole.terms[j + 1 :])), whole)
    return None


def _alike(a: Factors, b: Factors) -> bool:
    """Return whether two products are of the same factors, but for constants."""
    return not _merged((*a, *((x, -power) for x, power in b)))


def _merged(factors: Factors) -> Factors:
    """Return each factor once, with its total power; without those whose power is 0."""
    total: dict[LogJet, Power] = {}
    for x, power in factors:
        known = next((y for y in total if _same(x, y)), x)
        total[known] = total[known] + power if known in total else power
    return tuple((x, power) for x, power in total.items() if _number(power) != 0)


def _same(a: LogJet, b: LogJet) -> bool:
    """Return whether two factors have equal bits: one part of a formula, written twice."""
    both = zip((*a.scaled, a.exponent, *a.slopes), (*b.scaled, b.exponent, *b.slopes), strict=True)
    return all(p is q or (p is not None and q is not None and torch.equal(p, q)) for p, q in both)


def _equal(a: Scaled, b: Scaled) -> bool:
    off = a.mantissa * (a.exponent - b.exponent).exp() - b.mantissa
    return bool((off.abs() <= _SAME * b.mantissa.abs()).all())


def mul(a: Any, b: Any) -> LogJet:
    """Return a b."""
    return _collected(*_pair(a, b))


def div(a: Any, b: Any) -> LogJet:
    """Return a / b."""
    a, b = _pair(a, b)
    inverse = reciprocal(b)
    value = _collected(a, inverse)
    value.plain = a.plain / b.plain
    if value.slopes and (a.terms or b.terms):
        # a/b = 1 - rest/b, where fewer terms have less to cancel: (x + x^2)/(1 + x + x^2).
        rest = add(b, neg(a))
        if not rest.factors or len(rest.terms or (rest,)) < len(a.terms or (a,)):
            opposite = neg(_collected(rest, inverse))
            value.slopes, value.exponent = opposite.slopes, opposite.exponent
    return value


def _collected(a: LogJet, b: LogJet) -> LogJet:
    """Return a b, with derivatives collected over the terms of its factors."""
    value = plain_product(a, b, a.plain * b.plain)
    value.factors = _merged((*a.factors, *b.factors))
    if bool(a.terms) != bool(b.terms):
        value.terms = tuple(_collected(x, y) for x, y in product(a.terms or (a,), b.terms or (b,)))
    sums = [x.terms or (x,) for x, _ in value.factors]
    if not value.slopes or not 1 < math.prod(map(len, sums)) <= _MOST_PRODUCTS:
        return value
    powers = [p for _, p in value.factors]
    parts = (reduce(_times, map(_weighted, terms, powers)) for terms in product(*sums))
    total = reduce(plain_sum, parts)
    # Where a factor is 0 the quotient rule does not cancel.
    none = total.scaled.mantissa == 0
    # Not a quotient, whose derivative may underflow.
    scale = value.scaled.mantissa * torch.where(none, 1.0, total.scaled.mantissa).reciprocal()
    exponent = value.scaled.exponent - total.scaled.exponent + total.exponent
    exponent = torch.where(none, value.exponent, exponent)
    plain = [s if s is not None else torch.zeros_like(scale) for s in value.slopes]
    found = (None if s is None else s * scale for s in total.slopes)
    value.slopes = tuple(
        None if s is None else torch.where(none, p, s) for p, s in zip(plain, found, strict=True)
    )
    value.exponent = exponent
    return value


def _weighted(x: LogJet, power: Power) -> LogJet:
    """Return x with its derivatives times `power`."""
    slopes = tuple(None if s is None else s * power for s in x.slopes)
    return LogJet(x.plain, x.scaled, slopes, x.exponent)


def _times(a: LogJet, b: LogJet) -> LogJet:
    return plain_product(a, b, a.plain)  # whose plain value nobody asks for


def reciprocal(x: LogJet) -> LogJet:
    """Return 1 / x."""
    m, e = x.scaled.normal()
    inverse = 1 / m  # not 1 / m^2, whose derivative may underflow
    value = chain(x, 1 / x.plain, Scaled(inverse, -e), Scaled(-inverse.square(), -2 * e))
    return _to_power(value, x, -1.0)


def _to_power(value: LogJet, x: LogJet, power: Power) -> LogJet:
    value.factors = tuple((y, p * power) for y, p in x.factors)
    return value


def log(x: LogJet) -> LogJet:
    """Return log x."""
    plain = x.scaled.log()
    slope = Scaled(1 / x.scaled.mantissa, -x.scaled.exponent)
    value = chain(x, plain, Scaled.plain(plain), slope)
    value.antilog = x
    return value


def square(x: LogJet) -> LogJet:
    """Return x^2."""
    m, e = x.scaled
    value = chain(x, x.plain.square(), Scaled(m.square(), 2 * e), Scaled(2 * m, e))
    if (rest := x.complement) is not None:
        value.complement = lambda: mul(rest(), add(1.0, x))
    return _to_power(value, x, 2.0)


def sqrt(x: LogJet) -> LogJet:
    """Return the square root of x."""
    root = Scaled(x.scaled.mantissa.sqrt(), x.scaled.exponent / 2)
    slope = Scaled(0.5 / root.mantissa, -root.exponent)
    return _to_power(chain(x, x.plain.sqrt(), root, slope), x, 0.5)


def _number(x: Any) -> float:
    """Return a number of the formula; NaN if it varies."""
    if isinstance(x, Tensor):
        return float(x.detach()) if x.numel() == 1 else math.nan
    return float(x) if isinstance(x, (int, float)) else math.nan


def power(a: Any, b: Any) -> LogJet:
    """Return a^b; if b depends on a variable, a must be positive."""
    if isinstance(a, LogJet) and not isinstance(b, LogJet) and _number(b) == 2:
        return square(a)
    a, b = _pair(a, b)
    plain = a.plain**b.plain
    if any(s is not None for s in b.slopes):
        exponent = mul(b, log(a))
        value = Scaled.of(1.0, exponent.plain, POWER_RANGE)
        return chain(exponent, plain, value, value)
    zero = a.scaled.mantissa == 0
    base = torch.where(zero, 1.0, a.scaled.mantissa)
    # The powers of mantissa and exponent apart: beside a large exponent the first would be lost.
    size = b.plain * base.abs().log()
    near = size.detach().abs() < POWER_RANGE
    # The sign of (negative base) ** (whole exponent) is that of a power of the sign.
    direct = torch.where(
        near, torch.where(near, base, 1.0) ** b.plain, base.detach().sign() ** b.plain
    )
    far = Scaled.of(direct, torch.where(near, 0.0, size) + b.plain * a.scaled.exponent)
    mantissa = far.mantissa
    # At 0 alone, and constant: elsewhere plain may overflow, and a derivative through it is NaN.
    none = torch.where(zero, a.plain.detach(), 1.0)
    slope = Scaled(
        torch.where(zero, b.plain * none ** (b.plain - 1), b.plain * mantissa / base),
        torch.where(zero, 0.0, far.exponent - a.scaled.exponent),
    )
    value = Scaled(torch.where(zero, none**b.plain, mantissa), torch.where(zero, 0.0, far.exponent))
    return _to_power(chain(a, plain, value, slope), a, b.plain)

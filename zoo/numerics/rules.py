"""The rules of LogJet: for each function, its value and its slope with an exponent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.numerics import arithmetic
from zoo.numerics.logjet import RULES, LogJet, UnsupportedError, chain, lift
from zoo.numerics.scaled import Scaled
from zoo.numerics.special import betainc, gammainc, log_beta

ERF_SLOPE = 2 / math.sqrt(math.pi)


def _exp(x: LogJet) -> LogJet:
    if x.antilog is not None:
        return x.antilog
    value = Scaled.power_of_e(x.plain)
    return chain(x, x.plain.exp(), value, value)


def _expm1(x: LogJet) -> LogJet:
    plain = x.plain.expm1()
    big = x.plain > 1
    # Apart, since both overflow: a derivative through them would be NaN.
    small, large = torch.where(big, 0.0, x.plain), torch.where(big, x.plain, 0.0)
    mantissa = torch.where(big, -torch.expm1(-large), small.expm1())
    scaled = Scaled.of(mantissa, large)
    value = chain(x, plain, scaled, Scaled.power_of_e(x.plain))
    value.terms = _exp(x), lift(-1.0, x)
    return value


def _log1p(x: LogJet) -> LogJet:
    plain = torch.log1p(x.plain)
    return chain(x, plain, Scaled.plain(plain), Scaled.power_of_e(-plain))


def _cosh_of(x: Tensor) -> Scaled:
    return Scaled.of((1 + (-2 * x.abs()).exp()) / 2, x.abs())


def _sinh_of(x: Tensor) -> Scaled:
    return Scaled.of(-torch.expm1(-2 * x.abs()) / 2 * x.detach().sign(), x.abs())


def _tanh(x: LogJet) -> LogJet:
    plain = x.plain.tanh()
    cosh = _cosh_of(x.plain)
    slope = Scaled(1 / cosh.mantissa.square(), -2 * cosh.exponent)
    value = chain(x, plain, Scaled.plain(plain), slope)
    value.complement = lambda: 2 / (_exp(2 * x) + 1)
    return value


def _cosh(x: LogJet) -> LogJet:
    value = chain(x, x.plain.cosh(), _cosh_of(x.plain), _sinh_of(x.plain))
    value.terms = tuple(arithmetic.mul(0.5, _exp(y)) for y in (x, arithmetic.neg(x)))
    return value


def _sinh(x: LogJet) -> LogJet:
    value = chain(x, x.plain.sinh(), _sinh_of(x.plain), _cosh_of(x.plain))
    both = (0.5, x), (-0.5, arithmetic.neg(x))
    value.terms = tuple(arithmetic.mul(half, _exp(y)) for half, y in both)
    return value


def _sigmoid(x: LogJet) -> LogJet:
    log, log_rest = (torch.nn.functional.logsigmoid(v) for v in (x.plain, -x.plain))
    slope = Scaled.power_of_e(log + log_rest)
    value = chain(x, x.plain.sigmoid(), Scaled.power_of_e(log), slope)
    value.complement = lambda: _sigmoid(arithmetic.neg(x))
    return value


def _sin(x: LogJet) -> LogJet:
    sin, cos = x.plain.sin(), x.plain.cos()
    return chain(x, sin, Scaled.plain(sin), Scaled.plain(cos))


def _cos(x: LogJet) -> LogJet:
    sin, cos = x.plain.sin(), x.plain.cos()
    return chain(x, cos, Scaled.plain(cos), Scaled.plain(-sin))


def _atan(x: LogJet) -> LogJet:
    plain = x.plain.atan()
    zero = x.scaled.mantissa == 0
    log = 2 * Scaled(torch.where(zero, 1.0, x.scaled.mantissa), x.scaled.exponent).log_size()
    log = -torch.logaddexp(torch.zeros_like(log), log)
    return chain(x, plain, Scaled.plain(plain), Scaled.power_of_e(torch.where(zero, 0.0, log)))


def _gauss(x: Tensor, factor: float) -> Scaled:
    return Scaled.of(factor, -x.square())


def _erf(x: LogJet) -> LogJet:
    plain = torch.erf(x.plain)
    value = chain(x, plain, Scaled.plain(plain), _gauss(x.plain, ERF_SLOPE))
    value.complement = lambda: _erfc(x)
    return value


def _erfc(x: LogJet) -> LogJet:
    plain = torch.erfc(x.plain)
    far = x.plain > 0
    safe = torch.where(far, x.plain, 0.0)
    mantissa = torch.where(far, torch.special.erfcx(safe), plain)
    return chain(x, plain, Scaled.of(mantissa, -safe.square()), _gauss(x.plain, -ERF_SLOPE))


def _constant(x: Any) -> float:
    if isinstance(x, LogJet) and not x.factors:
        x = x.plain
    if isinstance(x, LogJet) or (isinstance(x, Tensor) and x.numel() != 1):
        raise UnsupportedError("a parameter that varies")
    return float(x)


def _gammainc(a: Any, x: LogJet) -> LogJet:
    a = _constant(a)
    plain = gammainc(a, x.plain)
    log = (a - 1) * x.scaled.log_size() - x.plain - math.lgamma(a)
    return chain(x, plain, Scaled.plain(plain), Scaled.power_of_e(log))


def _betainc(a: Any, b: Any, x: LogJet) -> LogJet:
    a, b = _constant(a), _constant(b)
    plain = betainc(a, b, x.plain)
    rest = arithmetic.complement(x)
    log_rest = torch.log1p(-x.plain) if rest is None else rest.scaled.log_size()
    log = (a - 1) * x.scaled.log_size() + (b - 1) * log_rest - log_beta(a, b)
    return chain(x, plain, Scaled.plain(plain), Scaled.power_of_e(log))


# Rule -> the names of its torch functions.
_NAMES: dict[Callable[..., LogJet], tuple[str, ...]] = {
    arithmetic.add: ("add",),
    _atan: ("arctan", "atan"),
    _betainc: ("betainc",),
    _cos: ("cos",),
    _cosh: ("cosh",),
    arithmetic.div: ("div", "divide", "true_divide"),
    _erf: ("erf", "special_erf"),
    _erfc: ("erfc", "special_erfc"),
    _exp: ("exp",),
    _expm1: ("expm1", "special_expm1"),
    lambda x, value: lift(value, x): ("full_like",),
    _gammainc: ("gammainc", "special_gammainc"),
    arithmetic.log: ("log",),
    _log1p: ("log1p", "special_log1p"),
    arithmetic.mul: ("mul", "multiply"),
    arithmetic.neg: ("neg",),
    arithmetic.power: ("pow",),
    arithmetic.reciprocal: ("reciprocal",),
    _sigmoid: ("sigmoid", "special_expit"),
    _sin: ("sin",),
    _sinh: ("sinh",),
    arithmetic.sqrt: ("sqrt",),
    arithmetic.square: ("square",),
    arithmetic.sub: ("sub", "subtract"),
    _tanh: ("tanh",),
}
for _each, _names in _NAMES.items():
    RULES |= dict.fromkeys(_names, _each)

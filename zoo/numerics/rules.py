"""The rules of LogJet: for each function, its value and its slope with an exponent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.numerics import logjet
from zoo.numerics.logjet import RULES, LogJet, UnsupportedError, chain
from zoo.numerics.scaled import Scaled
from zoo.numerics.special import betainc, gammainc, log_beta

ERF_SLOPE = 2 / math.sqrt(math.pi)


def _exp(x: LogJet) -> LogJet:
    value = Scaled.power_of_e(x.plain)
    return chain(x, x.plain.exp(), value, value)


def _expm1(x: LogJet) -> LogJet:
    plain = x.plain.expm1()
    big = x.plain > 1
    mantissa = torch.where(big, -torch.expm1(-x.plain), plain)
    scaled = Scaled.of(mantissa, torch.where(big, x.plain, 0.0))
    return chain(x, plain, scaled, Scaled.power_of_e(x.plain))


def _log1p(x: LogJet) -> LogJet:
    plain = torch.log1p(x.plain)
    return chain(x, plain, Scaled.plain(plain), Scaled.power_of_e(-plain))


def _sqrt(x: LogJet) -> LogJet:
    root = Scaled(x.scaled.mantissa.sqrt(), x.scaled.exponent / 2)
    return chain(x, x.plain.sqrt(), root, Scaled(0.5 / root.mantissa, -root.exponent))


def _cosh_of(x: Tensor) -> Scaled:
    return Scaled.of((1 + (-2 * x.abs()).exp()) / 2, x.abs())


def _sinh_of(x: Tensor) -> Scaled:
    return Scaled.of(-torch.expm1(-2 * x.abs()) / 2 * x.detach().sign(), x.abs())


def _tanh(x: LogJet) -> LogJet:
    plain = x.plain.tanh()
    cosh = _cosh_of(x.plain)
    slope = Scaled(1 / cosh.mantissa.square(), -2 * cosh.exponent)
    return chain(x, plain, Scaled.plain(plain), slope)


def _cosh(x: LogJet) -> LogJet:
    return chain(x, x.plain.cosh(), _cosh_of(x.plain), _sinh_of(x.plain))


def _sinh(x: LogJet) -> LogJet:
    return chain(x, x.plain.sinh(), _sinh_of(x.plain), _cosh_of(x.plain))


def _sigmoid(x: LogJet) -> LogJet:
    log, log_rest = (torch.nn.functional.logsigmoid(v) for v in (x.plain, -x.plain))
    return chain(x, x.plain.sigmoid(), Scaled.power_of_e(log), Scaled.power_of_e(log + log_rest))


def _sin(x: LogJet) -> LogJet:
    sin, cos = x.plain.sin(), x.plain.cos()
    return chain(x, sin, Scaled.plain(sin), Scaled.plain(cos))


def _cos(x: LogJet) -> LogJet:
    sin, cos = x.plain.sin(), x.plain.cos()
    return chain(x, cos, Scaled.plain(cos), Scaled.plain(-sin))


def _atan(x: LogJet) -> LogJet:
    plain = x.plain.atan()
    log = -2 * torch.hypot(x.plain, torch.ones_like(x.plain)).log()
    return chain(x, plain, Scaled.plain(plain), Scaled.power_of_e(log))


def _gauss(x: Tensor, factor: float) -> Scaled:
    return Scaled.of(factor, -x.square())


def _erf(x: LogJet) -> LogJet:
    plain = torch.erf(x.plain)
    return chain(x, plain, Scaled.plain(plain), _gauss(x.plain, ERF_SLOPE))


def _erfc(x: LogJet) -> LogJet:
    plain = torch.erfc(x.plain)
    far = x.plain > 0
    safe = torch.where(far, x.plain, 0.0)
    mantissa = torch.where(far, torch.special.erfcx(safe), plain)
    return chain(x, plain, Scaled.of(mantissa, -safe.square()), _gauss(x.plain, -ERF_SLOPE))


def _constant(x: Any) -> float:
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
    log = (a - 1) * x.scaled.log_size() + (b - 1) * torch.log1p(-x.plain) - log_beta(a, b)
    return chain(x, plain, Scaled.plain(plain), Scaled.power_of_e(log))


# Rule -> the names of its torch functions.
_NAMES: dict[Callable[..., LogJet], tuple[str, ...]] = {
    logjet.add: ("add",),
    _atan: ("arctan", "atan"),
    _betainc: ("betainc",),
    _cos: ("cos",),
    _cosh: ("cosh",),
    logjet.div: ("div", "divide", "true_divide"),
    _erf: ("erf", "special_erf"),
    _erfc: ("erfc", "special_erfc"),
    _exp: ("exp",),
    _expm1: ("expm1", "special_expm1"),
    _gammainc: ("gammainc", "special_gammainc"),
    logjet.log: ("log",),
    _log1p: ("log1p", "special_log1p"),
    logjet.mul: ("mul", "multiply"),
    logjet.neg: ("neg",),
    logjet.power: ("pow",),
    logjet.reciprocal: ("reciprocal",),
    _sigmoid: ("sigmoid", "special_expit"),
    _sin: ("sin",),
    _sinh: ("sinh",),
    _sqrt: ("sqrt",),
    logjet.square: ("square",),
    logjet.sub: ("sub", "subtract"),
    _tanh: ("tanh",),
}
for _each, _names in _NAMES.items():
    RULES |= dict.fromkeys(_names, _each)

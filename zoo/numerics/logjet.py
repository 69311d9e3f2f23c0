"""Values and first derivatives with an exponent of their own: right where a float underflows.

The radial density is d_r psi and the velocity -d_t psi / d_r psi. Far out both derivatives are
smaller than any float (d_r tanh(r/t) at r = 400 t), and ordinary autodiff gives log 0 and 0/0.
A `LogJet` carries a number and its partial derivatives, each as mantissa * exp(exponent), the
derivatives with one exponent in common: so their ratio is exact however small they are. Each
function below knows its own slope in that form.

Formulas written with torch need nothing special: the functions are intercepted by the
`__torch_function__` protocol. A formula that uses any other function falls back to autodiff.
All parts are ordinary tensors, so they can be differentiated again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.numerics.special import betainc, gammainc, log_beta

# Exponents are kept for what mantissas cannot hold: added to large exponents, small ones drown.
# Powers within e^-300 ... e^300 may still be squared; other factors leave room for a few more.
POWER_RANGE, FACTOR_RANGE = 300.0, 100.0
ERF_SLOPE = 2 / math.sqrt(math.pi)

Slopes = tuple[Tensor | None, ...]


class UnsupportedError(Exception):
    """A formula uses a function that has no rule here."""


class Scaled(NamedTuple):
    """The number mantissa * exp(exponent)."""

    mantissa: Tensor
    exponent: Tensor

    @classmethod
    def plain(cls, value: Tensor) -> Scaled:
        """Return `value` with exponent 0."""
        return cls(value, torch.zeros_like(value))

    @classmethod
    def of(cls, mantissa: Tensor | float, exponent: Tensor, reach: float = FACTOR_RANGE) -> Scaled:
        """Return mantissa * exp(exponent), an exponent below `reach` moved into the mantissa."""
        near = exponent.detach().abs() < reach
        factor = torch.where(near, exponent, 0.0).exp()
        return cls(mantissa * factor, torch.where(near, 0.0, exponent))

    @classmethod
    def power_of_e(cls, exponent: Tensor) -> Scaled:
        """Return exp(exponent)."""
        return cls.of(1.0, exponent)

    def normal(self) -> Scaled:
        """Return the same number, a very large or small mantissa moved into the exponent."""
        log = torch.where(self.mantissa == 0, 1.0, self.mantissa).abs().log()
        far = log.detach().abs() > POWER_RANGE
        shift = torch.where(far, log, 0.0)
        return Scaled(
            torch.where(far, self.mantissa.detach().sign(), self.mantissa), self.exponent + shift
        )

    def log(self) -> Tensor:
        """Return the log of the number; NaN where it is negative."""
        return self.mantissa.log() + self.exponent

    def log_size(self) -> Tensor:
        """Return the log of its absolute value."""
        return self.mantissa.abs().log() + self.exponent

    def value(self) -> Tensor:
        """Return the number itself; it may underflow."""
        return self.mantissa * self.exponent.exp()


class LogJet:
    """A number with its partial derivatives.

    Attributes:
        plain: the number itself, where it may have under- or overflowed.
        scaled: the number with an exponent.
        slopes: mantissas of its derivatives by each variable; None where it does not depend on it.
        exponent: the exponent of all the derivatives.
    """

    __slots__ = ("exponent", "plain", "scaled", "slopes")

    def __init__(self, plain: Tensor, scaled: Scaled, slopes: Slopes, exponent: Tensor) -> None:
        self.plain, self.scaled, self.slopes, self.exponent = plain, scaled, slopes, exponent

    def slope(self, i: int) -> Scaled:
        """Return the derivative by variable i."""
        mantissa = self.slopes[i]
        if mantissa is None:
            mantissa = torch.zeros_like(self.exponent)
        return Scaled(mantissa, self.exponent)

    def log_slope(self, i: int) -> Tensor:
        """Return d log |number| by variable i, a plain tensor."""
        part = self.slope(i)
        return part.mantissa / self.scaled.mantissa * (part.exponent - self.scaled.exponent).exp()

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> LogJet:
        """Apply the rule of a torch function."""
        del types
        rule = RULES.get(getattr(function, "__name__", ""))
        if rule is None or kwargs:
            raise UnsupportedError(str(function))
        return rule(*args)

    def __getattr__(self, name: str) -> Callable[..., LogJet]:
        rule = RULES.get(name)
        if rule is None:
            raise UnsupportedError(name)
        return lambda *args: rule(self, *args)

    def __bool__(self) -> bool:
        raise UnsupportedError("a comparison in a formula")

    def __neg__(self) -> LogJet:
        return _neg(self)

    def __add__(self, other: Any) -> LogJet:
        return _add(self, other)

    def __radd__(self, other: Any) -> LogJet:
        return _add(other, self)

    def __sub__(self, other: Any) -> LogJet:
        return _sub(self, other)

    def __rsub__(self, other: Any) -> LogJet:
        return _sub(other, self)

    def __mul__(self, other: Any) -> LogJet:
        return _mul(self, other)

    def __rmul__(self, other: Any) -> LogJet:
        return _mul(other, self)

    def __truediv__(self, other: Any) -> LogJet:
        return _div(self, other)

    def __rtruediv__(self, other: Any) -> LogJet:
        return _div(other, self)

    def __pow__(self, other: Any) -> LogJet:
        return _pow(self, other)

    def __rpow__(self, other: Any) -> LogJet:
        return _pow(other, self)


def _lift(x: Any, like: LogJet) -> LogJet:
    if isinstance(x, LogJet):
        return x
    if not isinstance(x, (Tensor, int, float)):
        raise UnsupportedError(f"{type(x).__name__} in a formula")
    plain = torch.as_tensor(x, dtype=like.plain.dtype, device=like.plain.device)
    scaled = Scaled.plain(plain)
    return LogJet(plain, scaled, (None,) * len(like.slopes), scaled.exponent)


def _pair(a: Any, b: Any) -> tuple[LogJet, LogJet]:
    like = a if isinstance(a, LogJet) else b
    return _lift(a, like), _lift(b, like)


def _chain(x: LogJet, plain: Tensor, scaled: Scaled, slope: Scaled) -> LogJet:
    """Apply the chain rule: every derivative of x times one slope."""
    slopes = tuple(None if s is None else s * slope.mantissa for s in x.slopes)
    return LogJet(plain, scaled, slopes, x.exponent + slope.exponent)


def _align(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a common exponent, and the factors that bring two exponents to it."""
    top = torch.maximum(a, b).detach()
    top = torch.where(top.isfinite(), top, 0.0)
    return top, (a - top).exp(), (b - top).exp()


def _sum_slopes(
    a: Slopes, a_exponent: Tensor, b: Slopes, b_exponent: Tensor
) -> tuple[Slopes, Tensor]:
    # A side without derivatives has no say in the exponent.
    if all(s is None for s in b):
        return a, a_exponent
    if all(s is None for s in a):
        return b, b_exponent
    top, f, g = _align(a_exponent, b_exponent)
    scaled_a = [None if s is None else s * f for s in a]
    scaled_b = [None if s is None else s * g for s in b]
    both = zip(scaled_a, scaled_b, strict=True)
    return tuple(p if q is None else q if p is None else p + q for p, q in both), top


def _neg(x: LogJet) -> LogJet:
    scaled = Scaled(-x.scaled.mantissa, x.scaled.exponent)
    return LogJet(-x.plain, scaled, tuple(None if s is None else -s for s in x.slopes), x.exponent)


def _add(a: Any, b: Any) -> LogJet:
    a, b = _pair(a, b)
    top, f, g = _align(a.scaled.exponent, b.scaled.exponent)
    scaled = Scaled(a.scaled.mantissa * f + b.scaled.mantissa * g, top)
    slopes, exponent = _sum_slopes(a.slopes, a.exponent, b.slopes, b.exponent)
    return LogJet(a.plain + b.plain, scaled, slopes, exponent)


def _sub(a: Any, b: Any) -> LogJet:
    a, b = _pair(a, b)
    return _add(a, _neg(b))


def _product(a: LogJet, b: LogJet, plain: Tensor) -> LogJet:
    (m, e), (n, f) = a.scaled, b.scaled
    slopes, exponent = _sum_slopes(
        tuple(None if s is None else s * n for s in a.slopes),
        a.exponent + f,
        tuple(None if s is None else s * m for s in b.slopes),
        b.exponent + e,
    )
    return LogJet(plain, Scaled(m * n, e + f).normal(), slopes, exponent)


def _mul(a: Any, b: Any) -> LogJet:
    a, b = _pair(a, b)
    return _product(a, b, a.plain * b.plain)


def _reciprocal(x: LogJet) -> LogJet:
    m, e = x.scaled.normal()
    return _chain(x, 1 / x.plain, Scaled(1 / m, -e), Scaled(-1 / m.square(), -2 * e))


def _div(a: Any, b: Any) -> LogJet:
    a, b = _pair(a, b)
    return _product(a, _reciprocal(b), a.plain / b.plain)


def _exp(x: LogJet) -> LogJet:
    value = Scaled.power_of_e(x.plain)
    return _chain(x, x.plain.exp(), value, value)


def _log(x: LogJet) -> LogJet:
    plain = x.scaled.log()
    return _chain(x, plain, Scaled.plain(plain), Scaled(1 / x.scaled.mantissa, -x.scaled.exponent))


def _is_number(x: Any, number: float) -> bool:
    if isinstance(x, Tensor):
        return x.ndim == 0 and x.device.type == "cpu" and bool(x.detach() == number)
    return isinstance(x, (int, float)) and x == number


def _pow(a: Any, b: Any) -> LogJet:
    if isinstance(a, LogJet) and not isinstance(b, LogJet) and _is_number(b, 2):
        return _square(a)
    a, b = _pair(a, b)
    plain = a.plain**b.plain
    if any(s is not None for s in b.slopes):
        power = _mul(b, _log(a))
        value = Scaled.of(1.0, power.plain, POWER_RANGE)
        return _chain(power, plain, value, value)
    zero = a.scaled.mantissa == 0
    base = torch.where(zero, 1.0, a.scaled.mantissa)
    log = b.plain * (base.abs().log() + a.scaled.exponent)
    near = (log.detach().abs() < POWER_RANGE) & (a.scaled.exponent == 0)
    direct = torch.where(near, base, 1.0) ** b.plain
    # The sign of (negative base) ** (whole exponent) is that of a power of the sign.
    far = Scaled.of(base.detach().sign() ** b.plain, torch.where(near, 0.0, log))
    mantissa = torch.where(near, direct, far.mantissa)
    slope = Scaled(
        torch.where(zero, b.plain * a.plain ** (b.plain - 1), b.plain * mantissa / base),
        torch.where(zero, 0.0, far.exponent - a.scaled.exponent),
    )
    value = Scaled(torch.where(zero, plain, mantissa), torch.where(zero, 0.0, far.exponent))
    return _chain(a, plain, value, slope)


def _expm1(x: LogJet) -> LogJet:
    plain = x.plain.expm1()
    big = x.plain > 1
    mantissa = torch.where(big, -torch.expm1(-x.plain), plain)
    scaled = Scaled.of(mantissa, torch.where(big, x.plain, 0.0))
    return _chain(x, plain, scaled, Scaled.power_of_e(x.plain))


def _log1p(x: LogJet) -> LogJet:
    plain = torch.log1p(x.plain)
    return _chain(x, plain, Scaled.plain(plain), Scaled.power_of_e(-plain))


def _sqrt(x: LogJet) -> LogJet:
    root = Scaled(x.scaled.mantissa.sqrt(), x.scaled.exponent / 2)
    return _chain(x, x.plain.sqrt(), root, Scaled(0.5 / root.mantissa, -root.exponent))


def _square(x: LogJet) -> LogJet:
    m, e = x.scaled
    return _chain(x, x.plain.square(), Scaled(m.square(), 2 * e), Scaled(2 * m, e))


def _cosh_of(x: Tensor) -> Scaled:
    return Scaled.of((1 + (-2 * x.abs()).exp()) / 2, x.abs())


def _sinh_of(x: Tensor) -> Scaled:
    return Scaled.of(-torch.expm1(-2 * x.abs()) / 2 * x.detach().sign(), x.abs())


def _tanh(x: LogJet) -> LogJet:
    plain = x.plain.tanh()
    cosh = _cosh_of(x.plain)
    slope = Scaled(1 / cosh.mantissa.square(), -2 * cosh.exponent)
    return _chain(x, plain, Scaled.plain(plain), slope)


def _cosh(x: LogJet) -> LogJet:
    return _chain(x, x.plain.cosh(), _cosh_of(x.plain), _sinh_of(x.plain))


def _sinh(x: LogJet) -> LogJet:
    return _chain(x, x.plain.sinh(), _sinh_of(x.plain), _cosh_of(x.plain))


def _sigmoid(x: LogJet) -> LogJet:
    log, log_rest = (torch.nn.functional.logsigmoid(v) for v in (x.plain, -x.plain))
    return _chain(x, x.plain.sigmoid(), Scaled.power_of_e(log), Scaled.power_of_e(log + log_rest))


def _sin(x: LogJet) -> LogJet:
    sin, cos = x.plain.sin(), x.plain.cos()
    return _chain(x, sin, Scaled.plain(sin), Scaled.plain(cos))


def _cos(x: LogJet) -> LogJet:
    sin, cos = x.plain.sin(), x.plain.cos()
    return _chain(x, cos, Scaled.plain(cos), Scaled.plain(-sin))


def _atan(x: LogJet) -> LogJet:
    plain = x.plain.atan()
    log = -2 * torch.hypot(x.plain, torch.ones_like(x.plain)).log()
    return _chain(x, plain, Scaled.plain(plain), Scaled.power_of_e(log))


def _gauss(x: Tensor, factor: float) -> Scaled:
    return Scaled.of(factor, -x.square())


def _erf(x: LogJet) -> LogJet:
    plain = torch.erf(x.plain)
    return _chain(x, plain, Scaled.plain(plain), _gauss(x.plain, ERF_SLOPE))


def _erfc(x: LogJet) -> LogJet:
    far, plain = x.plain > 0, torch.erfc(x.plain)
    safe = torch.where(far, x.plain, 0.0)
    mantissa = torch.where(far, torch.special.erfcx(safe), plain)
    return _chain(x, plain, Scaled.of(mantissa, -safe.square()), _gauss(x.plain, -ERF_SLOPE))


def _constant(x: Any) -> float:
    if isinstance(x, LogJet) or (isinstance(x, Tensor) and x.numel() != 1):
        raise UnsupportedError("a parameter that varies")
    return float(x)


def _gammainc(a: Any, x: LogJet) -> LogJet:
    a = _constant(a)
    plain = gammainc(a, x.plain)
    log = (a - 1) * x.scaled.log_size() - x.plain - math.lgamma(a)
    return _chain(x, plain, Scaled.plain(plain), Scaled.power_of_e(log))


def _betainc(a: Any, b: Any, x: LogJet) -> LogJet:
    a, b = _constant(a), _constant(b)
    plain = betainc(a, b, x.plain)
    log = (a - 1) * x.scaled.log_size() + (b - 1) * torch.log1p(-x.plain) - log_beta(a, b)
    return _chain(x, plain, Scaled.plain(plain), Scaled.power_of_e(log))


RULES: dict[str, Callable[..., LogJet]] = {
    "add": _add,
    "arctan": _atan,
    "atan": _atan,
    "betainc": _betainc,
    "cos": _cos,
    "cosh": _cosh,
    "div": _div,
    "divide": _div,
    "erf": _erf,
    "erfc": _erfc,
    "exp": _exp,
    "expm1": _expm1,
    "gammainc": _gammainc,
    "log": _log,
    "log1p": _log1p,
    "mul": _mul,
    "multiply": _mul,
    "neg": _neg,
    "pow": _pow,
    "reciprocal": _reciprocal,
    "sigmoid": _sigmoid,
    "sin": _sin,
    "sinh": _sinh,
    "special_erf": _erf,
    "special_erfc": _erfc,
    "special_expit": _sigmoid,
    "special_expm1": _expm1,
    "special_gammainc": _gammainc,
    "special_log1p": _log1p,
    "sqrt": _sqrt,
    "square": _square,
    "sub": _sub,
    "subtract": _sub,
    "tanh": _tanh,
    "true_divide": _div,
}


def jet(function: Callable[..., Any], *variables: Tensor) -> LogJet:
    """Return function(*variables) with its partial derivatives, elementwise.

    Args:
        function: elementwise formula of the variables, written with torch.
        variables: tensors of one shape and dtype.

    Raises:
        ZooError: the formula uses functions without a rule here, and has no gradient either.
    """
    one, zero = torch.ones_like(variables[0]), torch.zeros_like(variables[0])
    count = len(variables)
    units = [tuple(one if i == j else None for j in range(count)) for i in range(count)]
    seeds = [LogJet(v, Scaled(v, zero), u, zero) for v, u in zip(variables, units, strict=True)]
    try:
        return _lift(function(*seeds), seeds[0])
    except (UnsupportedError, TypeError):
        return _by_autodiff(function, variables)


def log_value(function: Callable[..., Any], *variables: Tensor) -> Tensor:
    """Return log function(*variables), elementwise; right where the value itself underflows.

    Args:
        function: positive elementwise formula of the variables, written with torch.
        variables: tensors of one shape and dtype.
    """
    zero = torch.zeros_like(variables[0])
    seeds = [LogJet(v, Scaled(v, zero), (), zero) for v in variables]
    try:
        return _lift(function(*seeds), seeds[0]).scaled.log()
    except (UnsupportedError, TypeError):
        return torch.as_tensor(function(*variables)).log()


def _by_autodiff(function: Callable[..., Any], variables: Sequence[Tensor]) -> LogJet:
    outer = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        # Fresh tensors: inference tensors and views of one scalar have no gradient of their own.
        inputs = [
            v.clone() if v.requires_grad else v.detach().clone().requires_grad_() for v in variables
        ]
        plain = function(*inputs)
        if not plain.requires_grad:
            raise ZooError(
                f"{getattr(function, '__qualname__', function)} has no gradient: write it with "
                "differentiable torch functions (zoo.numerics has gammainc and betainc)"
            )
        slopes = torch.autograd.grad(plain.sum(), inputs, create_graph=outer, allow_unused=True)
    plain = plain if outer else plain.detach()
    return LogJet(plain, Scaled.plain(plain), slopes, torch.zeros_like(plain))

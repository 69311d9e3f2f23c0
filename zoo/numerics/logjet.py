"""Values and first derivatives with a separate exponent, accurate where a float underflows.

The radial density is d_r psi and the velocity is -d_t psi / d_r psi. For large r both derivatives
are smaller than any float (d_r tanh(r/t) at r = 400 t), and ordinary autodiff gives log 0 and 0/0.
A `LogJet` holds a number and its partial derivatives as mantissa * exp(exponent). The derivatives
have a common exponent, so their ratio is exact however small they are. Each function below computes
its slope in that form.

Formulas are written with torch as usual: the `__torch_function__` protocol intercepts functions.
A formula that uses a function without a rule falls back to autodiff. All parts are ordinary
tensors, so they can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.numerics.scaled import POWER_RANGE, Scaled

Slopes = tuple[Tensor | None, ...]
Operator = Callable[["LogJet", Any], "LogJet"]


class UnsupportedError(Exception):
    """A formula uses a function that has no rule."""


# Name of a torch function -> its rule; filled by `zoo.numerics.rules`.
RULES: dict[str, Callable[..., LogJet]] = {}


def _rule(name: str) -> Callable[..., LogJet]:
    if name not in RULES:
        raise UnsupportedError(name)
    return RULES[name]


def _operators(name: str) -> tuple[Operator, Operator]:
    """Return a binary operator of a LogJet and its reflection, by the rule called `name`."""
    return lambda a, b: _rule(name)(a, b), lambda a, b: _rule(name)(b, a)


class LogJet:
    """A number with its partial derivatives.

    Attributes:
        plain: the number as a float, which may have under- or overflowed.
        scaled: the number with an exponent.
        slopes: mantissas of the derivatives by each variable; None for a derivative that is 0.
        exponent: the common exponent of all the derivatives.
    """

    __slots__ = ("exponent", "plain", "scaled", "slopes")

    def __init__(self, plain: Tensor, scaled: Scaled, slopes: Slopes, exponent: Tensor) -> None:
        self.plain = plain
        self.scaled = scaled
        self.slopes = slopes
        self.exponent = exponent

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
        if kwargs:
            raise UnsupportedError(str(function))
        return _rule(getattr(function, "__name__", ""))(*args)

    def __getattr__(self, name: str) -> Callable[..., LogJet]:
        rule = _rule(name)
        return lambda *args: rule(self, *args)

    def __bool__(self) -> bool:
        raise UnsupportedError("a comparison in a formula")

    def __neg__(self) -> LogJet:
        return neg(self)

    __add__, __radd__ = _operators("add")
    __sub__, __rsub__ = _operators("sub")
    __mul__, __rmul__ = _operators("mul")
    __truediv__, __rtruediv__ = _operators("div")
    __pow__, __rpow__ = _operators("pow")


def lift(x: Any, like: LogJet) -> LogJet:
    """Return x as a constant with the variables of `like`; a LogJet is returned unchanged."""
    if isinstance(x, LogJet):
        return x
    if not isinstance(x, (Tensor, int, float)):
        raise UnsupportedError(f"{type(x).__name__} in a formula")
    plain = torch.as_tensor(x, dtype=like.plain.dtype, device=like.plain.device)
    scaled = Scaled.plain(plain)
    return LogJet(plain, scaled, (None,) * len(like.slopes), scaled.exponent)


def _pair(a: Any, b: Any) -> tuple[LogJet, LogJet]:
    like = a if isinstance(a, LogJet) else b
    return lift(a, like), lift(b, like)


def chain(x: LogJet, plain: Tensor, scaled: Scaled, slope: Scaled) -> LogJet:
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


def neg(x: LogJet) -> LogJet:
    """Return -x."""
    scaled = Scaled(-x.scaled.mantissa, x.scaled.exponent)
    return LogJet(-x.plain, scaled, tuple(None if s is None else -s for s in x.slopes), x.exponent)


def add(a: Any, b: Any) -> LogJet:
    """Return a + b."""
    a, b = _pair(a, b)
    top, f, g = _align(a.scaled.exponent, b.scaled.exponent)
    scaled = Scaled(a.scaled.mantissa * f + b.scaled.mantissa * g, top)
    slopes, exponent = _sum_slopes(a.slopes, a.exponent, b.slopes, b.exponent)
    return LogJet(a.plain + b.plain, scaled, slopes, exponent)


def sub(a: Any, b: Any) -> LogJet:
    """Return a - b."""
    a, b = _pair(a, b)
    return add(a, neg(b))


def _product(a: LogJet, b: LogJet, plain: Tensor) -> LogJet:
    (m, e), (n, f) = a.scaled, b.scaled
    slopes, exponent = _sum_slopes(
        tuple(None if s is None else s * n for s in a.slopes),
        a.exponent + f,
        tuple(None if s is None else s * m for s in b.slopes),
        b.exponent + e,
    )
    return LogJet(plain, Scaled(m * n, e + f).normal(), slopes, exponent)


def mul(a: Any, b: Any) -> LogJet:
    """Return a b."""
    a, b = _pair(a, b)
    return _product(a, b, a.plain * b.plain)


def reciprocal(x: LogJet) -> LogJet:
    """Return 1 / x."""
    m, e = x.scaled.normal()
    return chain(x, 1 / x.plain, Scaled(1 / m, -e), Scaled(-1 / m.square(), -2 * e))


def div(a: Any, b: Any) -> LogJet:
    """Return a / b."""
    a, b = _pair(a, b)
    return _product(a, reciprocal(b), a.plain / b.plain)


def log(x: LogJet) -> LogJet:
    """Return log x."""
    plain = x.scaled.log()
    return chain(x, plain, Scaled.plain(plain), Scaled(1 / x.scaled.mantissa, -x.scaled.exponent))


def square(x: LogJet) -> LogJet:
    """Return x^2."""
    m, e = x.scaled
    return chain(x, x.plain.square(), Scaled(m.square(), 2 * e), Scaled(2 * m, e))


def _is_number(x: Any, number: float) -> bool:
    if isinstance(x, Tensor):
        return x.ndim == 0 and x.device.type == "cpu" and bool(x.detach() == number)
    return isinstance(x, (int, float)) and x == number


def power(a: Any, b: Any) -> LogJet:
    """Return a^b; if b depends on a variable, a must be positive."""
    if isinstance(a, LogJet) and not isinstance(b, LogJet) and _is_number(b, 2):
        return square(a)
    a, b = _pair(a, b)
    plain = a.plain**b.plain
    if any(s is not None for s in b.slopes):
        exponent = mul(b, log(a))
        value = Scaled.of(1.0, exponent.plain, POWER_RANGE)
        return chain(exponent, plain, value, value)
    zero = a.scaled.mantissa == 0
    base = torch.where(zero, 1.0, a.scaled.mantissa)
    size = b.plain * (base.abs().log() + a.scaled.exponent)
    near = (size.detach().abs() < POWER_RANGE) & (a.scaled.exponent == 0)
    direct = torch.where(near, base, 1.0) ** b.plain
    # The sign of (negative base) ** (whole exponent) is that of a power of the sign.
    far = Scaled.of(base.detach().sign() ** b.plain, torch.where(near, 0.0, size))
    mantissa = torch.where(near, direct, far.mantissa)
    slope = Scaled(
        torch.where(zero, b.plain * a.plain ** (b.plain - 1), b.plain * mantissa / base),
        torch.where(zero, 0.0, far.exponent - a.scaled.exponent),
    )
    value = Scaled(torch.where(zero, plain, mantissa), torch.where(zero, 0.0, far.exponent))
    return chain(a, plain, value, slope)

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

from zoo.numerics.scaled import Scaled

Slopes = tuple[Tensor | None, ...]
Power = float | Tensor
Factors = tuple[tuple["LogJet", Power], ...]
Terms = tuple["LogJet", ...]
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
        terms: what it is the sum of; empty if it is no sum.
        antilog: what it is the logarithm of, else None.
        complement: makes 1 - the number where a function gives that to full precision, else None.
    """

    __slots__ = (
        "_factors",
        "antilog",
        "complement",
        "exponent",
        "plain",
        "scaled",
        "slopes",
        "terms",
    )

    def __init__(self, plain: Tensor, scaled: Scaled, slopes: Slopes, exponent: Tensor) -> None:
        self.plain = plain
        self.scaled = scaled
        self.slopes = slopes
        self.exponent = exponent
        self.terms: Terms = ()
        self.antilog: LogJet | None = None
        self.complement: Callable[[], LogJet] | None = None
        self._factors: Factors | None = None

    @property
    def factors(self) -> Factors:
        """What it is the product of: (number, power), constants left out; itself if no product."""
        return ((self, 1.0),) if self._factors is None else self._factors

    @factors.setter
    def factors(self, given: Factors) -> None:
        self._factors = given

    def slope(self, i: int) -> Scaled:
        """Return the derivative by variable i."""
        mantissa = self.slopes[i]
        if mantissa is None:
            mantissa = torch.zeros_like(self.exponent)
        return Scaled(mantissa, self.exponent)

    def log_slope(self, i: int) -> Tensor:
        """Return d log |number| by variable i, a plain tensor of its shape."""
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
        return _rule("neg")(self)

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
    constant = LogJet(plain, scaled, (None,) * len(like.slopes), scaled.exponent)
    constant.factors = ()
    return constant


def chain(x: LogJet, plain: Tensor, scaled: Scaled, slope: Scaled) -> LogJet:
    """Apply the chain rule: every derivative of x times one slope."""
    slopes = tuple(None if s is None else s * slope.mantissa for s in x.slopes)
    return LogJet(plain, scaled, slopes, x.exponent + slope.exponent)

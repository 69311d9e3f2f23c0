"""What components refuse: options out of range, radii and times that do not fit."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Real

import torch
from torch import Tensor

from zoo.errors import ZooError, brief, did_you_mean
from zoo.numerics import LogJet

_unchecked: ContextVar[bool] = ContextVar("unchecked", default=False)


@contextmanager
def unchecked() -> Iterator[None]:
    """Inside, tensors pass every check of their values: code that is recorded has none to look at.

    Shapes, dtypes and options are checked as ever.
    """
    token = _unchecked.set(True)
    try:
        yield
    finally:
        _unchecked.reset(token)


def values_unknown() -> bool:
    """Return whether values of tensors are not to be looked at, see `unchecked`."""
    return _unchecked.get()


def all_finite(x: Tensor) -> bool:
    """Return whether all numbers of x, of any shape, are finite; waits for an accelerator.

    Their sum is finite only if they are: the numbers are looked at, which takes far longer, only
    where it is not.
    """
    if values_unknown():
        return True
    return math.isfinite(float(x.detach().sum())) or bool(x.isfinite().all())


def check_number(name: str, value: Tensor | float) -> None:
    """Raise ZooError unless `value` is a real number, or a tensor of such."""
    if isinstance(value, Tensor):
        sound = not value.is_complex() and value.dtype != torch.bool
    else:
        sound = isinstance(value, Real) and not isinstance(value, bool)
    if not sound:
        raise ZooError(
            f"{name} is {describe_value(value)}; expected a number or a tensor of numbers"
        )


def check_integer(name: str, value: int, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number as an int.

    Raises:
        ZooError: it is none, less than `least`, or more than `most`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or (least is not None and number < least):
        wanted = "a whole number" if least is None else f"a whole number of at least {least}"
        raise ZooError(f"{name} = {brief(value)}; expected {wanted}")
    if most is not None and number > most:
        raise ZooError(f"{name} = {brief(value)}; expected a whole number of at most {most}")
    return number


def check_real(
    name: str,
    value: float,
    expected: str = "a finite number",
    *,
    least: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Return a finite number in [least, below) as a float.

    Raises:
        ZooError: it is not; the message says what was `expected`.
    """
    try:
        given = isinstance(value, Real) and not isinstance(value, bool)
        number = float(value) if given else math.nan
    except OverflowError:  # a whole number of more than 308 digits
        number = math.inf
    if not (math.isfinite(number) and least <= number < below):
        raise ZooError(f"{name} = {brief(value)}; expected {expected}")
    return number


def check_positive(name: str, value: float, below: float = math.inf) -> float:
    """Return a number in (0, below) as a float.

    Raises:
        ZooError: it is not a positive, finite number, or not below the limit.
    """
    limit = "" if below == math.inf else f" below {below:g}"
    least = math.nextafter(0.0, 1.0)
    return check_real(name, value, f"a positive number{limit}", least=least, below=below)


def check_choice(name: str, value: str, known: Iterable[str]) -> str:
    """Return the value.

    Raises:
        ZooError: it is not one of those known; the message says which is close, or all.
    """
    names = [*known]
    if value not in names:
        raise ZooError(f"{name} = {brief(value)}; {did_you_mean(brief(value), names)}")
    return value


def check_radial(name: str, value: Tensor, t: Tensor | float, most: float = math.inf) -> None:
    """Raise ZooError unless `value` is a tensor within [0, most] and t > 0 broadcasts over it.

    A radial law holds at every t > 0, inside the kernel's interval or not: times are found by it.
    Formulas are evaluated with numbers that carry derivatives too; these are not looked at, nor is
    anything on an accelerator.
    """
    if isinstance(value, LogJet) or isinstance(t, LogJet) or values_unknown():
        return
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise ZooError(
            f"{name} is {describe_value(value)}; expected a tensor of floating-point numbers"
        )
    check_number("t", t)
    _check_between(name, value, most)
    if not isinstance(t, Tensor):
        if not 0 < t < math.inf:
            raise ZooError(f"t = {t:g}; expected a positive number")
        return
    try:
        torch.broadcast_shapes(value.shape, t.shape)  # type: ignore[no-untyped-call]
    except RuntimeError:
        raise ZooError(
            f"t has shape {tuple(t.shape)} and {name} {tuple(value.shape)}; expected a scalar t, "
            "or shapes that broadcast"
        ) from None
    if t.device.type == "cpu" and t.numel():
        low, high = (float(end) for end in t.detach().aminmax())
        if not (low > 0 and high < math.inf):
            raise ZooError(f"t = {low if not low > 0 else high:g}; expected positive numbers")


def _check_between(name: str, value: Tensor, most: float) -> None:
    if value.device.type != "cpu" or not value.numel():
        return
    low, high = (float(end) for end in value.detach().aminmax())
    # A radius may be NaN after an overflow of the state: the solver reports at which t.
    if low < 0 or high > most or (math.isnan(low) and most < math.inf):
        kind = "a probability, 0 to 1" if most == 1 else "a radius, at least 0"
        raise ZooError(f"{name} = {high if high > most else low:g}; expected {kind}")


def describe_value(value: object) -> str:
    """Return what a value is, in a word: "int32", "a list", "'1'"."""
    if isinstance(value, Tensor):
        return str(value.dtype).removeprefix("torch.")
    if isinstance(value, (str, bool, type(None))):
        return repr(value)
    return f"a {type(value).__name__}"

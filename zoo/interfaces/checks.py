"""What public methods refuse: shapes that do not fit, numbers and times outside their range."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.numerics import LogJet

if TYPE_CHECKING:
    from zoo.interfaces.kernel import FieldKernel


def check_arguments(
    kernel: FieldKernel, t: Tensor | float, x_0: Tensor, x_t: Tensor | None = None
) -> None:
    """Raise ZooError unless x_0 (and x_t) are (B, *) with kernel.dim coordinates and t fits them.

    A batch of one broadcasts. Times on an accelerator are not looked at: that would wait for it.
    """
    for name, x in (("x_0", x_0),) if x_t is None else (("x_0", x_0), ("x_t", x_t)):
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise ZooError(f"{name} is {_told(x)}; expected a tensor of floating-point numbers")
        if x.ndim < 2 or math.prod(x.shape[1:]) != kernel.dim:
            raise ZooError(
                f"{name} has shape {tuple(x.shape)}; expected (B, ...) with {kernel.dim} "
                f"coordinates per sample, the dim of {type(kernel).__name__}"
            )
    count = len(x_0)
    if x_t is not None:
        if x_t.shape[1:] != x_0.shape[1:] or (len(x_t) != count and 1 not in (len(x_t), count)):
            raise ZooError(
                f"x_t has shape {tuple(x_t.shape)} and x_0 {tuple(x_0.shape)}; "
                "expected equal shapes"
            )
        count = max(count, len(x_t)) if count and len(x_t) else 0
    if not isinstance(t, Tensor):
        kernel.check_time(t)
        return
    one = t.numel() == 1
    if not one and t.shape != (count,):
        raise ZooError(f"t has shape {tuple(t.shape)}; expected a scalar or ({count},)")
    check_number("t", t)
    if t.device.type == "cpu" and (one or count):
        kernel.check_time(float(t.detach()) if one else t.detach())


def all_finite(x: Tensor) -> bool:
    """Return whether all numbers of x are finite; waits for an accelerator.

    Their sum is finite only if they are: the numbers are looked at, which takes far longer, only
    where it is not.
    """
    return math.isfinite(float(x.detach().sum())) or bool(x.isfinite().all())


def check_other(other: FieldKernel, t: Tensor | float) -> None:
    """Raise ZooError unless `other` is a kernel, of which t is a time or are times."""
    if not hasattr(other, "check_time"):
        raise ZooError(f"other is {_told(other)}; expected a FieldKernel")
    if not isinstance(t, Tensor) or (t.device.type == "cpu" and t.numel()):
        other.check_time(t)


def check_number(name: str, value: Tensor | float) -> None:
    """Raise ZooError unless `value` is a real number, or a tensor of such."""
    if isinstance(value, Tensor):
        sound = not value.is_complex() and value.dtype != torch.bool
    else:
        sound = isinstance(value, Real) and not isinstance(value, bool)
    if not sound:
        raise ZooError(f"{name} is {_told(value)}; expected a number or a tensor of numbers")


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
        raise ZooError(f"{name} = {value!r}; expected {wanted}")
    if most is not None and number > most:
        raise ZooError(f"{name} = {value!r}; expected a whole number of at most {most}")
    return number


def check_positive(name: str, value: float) -> float:
    """Return value as a float.

    Raises:
        ZooError: it is not a positive, finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ZooError(f"{name} = {value!r}; expected a positive number")
    return float(value)


def check_radial(name: str, value: Tensor, t: Tensor | float, most: float = math.inf) -> None:
    """Raise ZooError unless `value` is a tensor within [0, most] and t > 0 broadcasts over it.

    A radial law holds at every t > 0, inside the kernel's interval or not: times are found by it.
    Formulas are evaluated with numbers that carry derivatives too; these are not looked at, nor is
    anything on an accelerator.
    """
    if isinstance(value, LogJet) or isinstance(t, LogJet):
        return
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise ZooError(f"{name} is {_told(value)}; expected a tensor of floating-point numbers")
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
    # A radius may be NaN, where a state was lost: it is for the solver to tell at which t.
    if low < 0 or high > most or (math.isnan(low) and most < math.inf):
        kind = "a probability, 0 to 1" if most == 1 else "a radius, at least 0"
        raise ZooError(f"{name} = {high if high > most else low:g}; expected {kind}")


def _told(value: object) -> str:
    """Return what a value is, in a word: "int32", "a list", "'1'"."""
    if isinstance(value, Tensor):
        return str(value.dtype).removeprefix("torch.")
    return (
        repr(value) if isinstance(value, (str, bool, type(None))) else f"a {type(value).__name__}"
    )

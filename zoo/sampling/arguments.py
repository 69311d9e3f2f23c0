"""What the arguments of sampling have to be; arrays and lists become tensors here."""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from zoo.config.columns import DTYPE, Column
from zoo.config.model import MAX_STEPS
from zoo.errors import ZooError, ZooWarning, brief, did_you_mean, one_line, shown
from zoo.interfaces.checks import all_finite, check_integer, check_real, describe_value

Numbers = Tensor | ArrayLike
"""A tensor, a numpy array, or nested lists of numbers."""


def step_count(steps: int | None, default: int, least: int = 1) -> int:
    """Return a number of solver steps, `default` for None.

    Raises:
        ZooError: it is not a whole number from `least` to 100,000.
    """
    return check_integer("steps", default if steps is None else steps, least, MAX_STEPS)


def seed_from(seed: int | None, generator: torch.Generator | None) -> int:
    """Return the seed, or one that the generator draws, or torch's own.

    Raises:
        ZooError: both are given, or the seed is not a whole number.
    """
    if seed is not None and generator is not None:
        raise ZooError("give seed or generator, not both")
    if seed is not None:
        return check_integer("seed", seed)
    if not isinstance(generator, torch.Generator | None):
        raise ZooError(f"generator is {describe_value(generator)}; expected a torch.Generator")
    device = generator.device if generator is not None else "cpu"
    return int(torch.randint(2**63 - 1, (), generator=generator, device=device))


def parse_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """Return a dtype that networks compute in by name, "float16"; a dtype and None as they are.

    Raises:
        ZooError: it is no such dtype.
    """
    name = dtype.removeprefix("torch.") if isinstance(dtype, str) else None
    found = getattr(torch, name, None) if name else dtype
    if found is None and dtype is None:
        return None
    if not isinstance(found, torch.dtype) or found not in _DTYPES:
        names = ", ".join(str(each).removeprefix("torch.") for each in _DTYPES)
        raise ZooError(f"dtype = {brief(dtype)}; expected one of {names}")
    return found


_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_REALS = (np.float16, np.float32, np.float64)


def as_tensor(name: str, value: Numbers, *, booleans: bool = False) -> Tensor:
    """Return a tensor as it is; of an array or nested lists a copy with all digits.

    Where `booleans` may be given, true is 1 and false is 0.

    Raises:
        ZooError: what is given are no real numbers, or rows of different lengths.
    """
    found: object = value
    if not isinstance(value, Tensor):
        refuse_masked(name, value)
        try:
            array = np.array(value)
            native = array.dtype.newbyteorder("=")
            if native.kind == "f" and native not in _REALS:
                native = np.dtype(np.float64)
            found = torch.from_numpy(array.astype(native, copy=False))
        except Exception as error:  # arrays of objects, of text; rows of different lengths
            raise ZooError(
                f"{name} is {describe_value(value)}; expected a tensor, an array or lists of "
                "numbers, in rows of one length"
            ) from error
    assert isinstance(found, Tensor)
    if found.layout != torch.strided or found.is_quantized or found.is_meta:
        kind = "has no numbers" if found.is_meta else f"is {found.layout} {found.dtype}"
        raise ZooError(f"{name} {kind}; expected a dense tensor of numbers")
    if booleans and found.dtype == torch.bool:
        return found.to(torch.uint8)
    if found.is_complex() or found.dtype == torch.bool:
        raise ZooError(f"{name} is {describe_value(found)}; expected real numbers")
    return found


def refuse_masked(name: str, value: object) -> None:
    """Raise ZooError for an array that hides some of its values."""
    if np.ma.is_masked(value):
        raise ZooError(f"{name} is a masked array; fill in what is missing")


def by_name(name: str, value: Any, columns: Sequence[Column]) -> Any:
    """Return columns of a data frame, or entries of a pandas Series, in the order of `columns`.

    Anything else as it is, and what is numbered from 0 where the model knows names.

    Raises:
        ZooError: a column is missing, there twice, or holds no numbers; a lazy frame.
    """
    names = [column.name for column in columns]
    if hasattr(value, "collect"):
        raise ZooError(f"{name} is a {type(value).__name__}; collect() a lazy frame first")
    there = getattr(value, "columns", None)
    series: Any = getattr(sys.modules.get("pandas"), "Series", ())
    if names and isinstance(value, series):
        index = value.index
        there = None if names[0] not in index and index.dtype.kind == "i" else index
    if not names or there is None:
        return value
    try:
        known = [*there]
        numbered = known == [*range(len(names))] and {*known}.isdisjoint(names)
        return _columns_of(name, value, known, known if numbered else names)
    except ZooError:
        raise
    except Exception as error:  # pandas', polars' and Arrow's own
        kind = type(value).__name__
        raise ZooError(f"{name}: {kind} is not read ({one_line(error)[:200]})") from error


def _columns_of(
    name: str, value: Any, known: list[Any], names: list[str | int]
) -> NDArray[np.float64]:
    """Return columns (n, d) of a data frame, or numbers (d,) of a Series; as `by_name`."""
    found = []
    for column in names:
        # A file of parquet has text for names.
        there = column if column in known else str(column)
        if there not in known:
            taken = shown(", ".join(brief(each) for each in names))
            raise ZooError(f"{name} has no column {brief(column)}; it takes {taken}")
        if known.count(there) > 1:
            raise ZooError(f"{name}: two columns are called {brief(there)}; rename one")
        values = value[there]
        if getattr(values, "ndim", 0) and not re.match(DTYPE, str(values.dtype)):
            raise ZooError(
                f"{name}: column {brief(there)} is of type {shown(values.dtype, 60)}; expected "
                "numbers"
            )
        found.append(np.asarray(values, dtype=np.float64))
    return np.stack(found, axis=-1)


def as_samples(name: str, value: Numbers, shape: tuple[int, ...]) -> Tensor:
    """Return data (n, *shape), finite, as `as_tensor` does.

    Raises:
        ZooError: another shape, a number that is not finite, or no numbers.
    """
    x = as_tensor(name, value)
    if x.ndim != len(shape) + 1 or tuple(x.shape[1:]) != shape:
        one = f"; one sample is {name}[None]" if tuple(x.shape) == shape else ""
        raise ZooError(f"{name} has shape {tuple(x.shape)}; expected (n, *{shape}){one}")
    if x.is_floating_point() and not all_finite(x):
        raise ZooError(f"{name} is not finite")
    return x


def as_points(
    name: str, value: Numbers, shape: tuple[int, ...], columns: Sequence[Column] = ()
) -> Tensor:
    """Return data of floating-point numbers (n, *shape), finite, a data frame's by `columns`.

    Lists may hold whole numbers, and so may rows of known columns.

    Raises:
        ZooError: as `as_samples`; whole numbers, which may be the bytes of images.
    """
    x = as_samples(name, by_name(name, value, columns), shape)
    if x.is_floating_point():
        return x
    if columns or (len(shape) != 3 and not isinstance(value, Tensor | np.ndarray)):
        return x.double()
    scaled = ", images in [-1, 1]" if len(shape) == 3 else ""
    raise ZooError(f"{name} is of {x.dtype}; expected floating-point numbers{scaled}")


def warn_outside(
    name: str, x: Tensor, span: tuple[float, float] | None, times: float = 2.0, stacklevel: int = 4
) -> None:
    """Warn of real numbers that lie outside so many times the range of the data, as bytes do."""
    if span is None or not x.is_floating_point() or not x.numel():
        return
    low, high = (float(end) for end in x.aminmax())
    if max(-low, high) > times * max(-span[0], span[1]):
        warnings.warn(
            f"{name} has values from {low:.4g} to {high:.4g}; the model's data are images in "
            f"[{span[0]:g}, {span[1]:g}]: scale them",
            ZooWarning,
            stacklevel=stacklevel,
        )


def as_times(t: Numbers, n: int) -> Tensor | float:
    """Return a time as a float, or times of n samples as a tensor, () or (n,).

    Raises:
        ZooError: no numbers, or neither one of them nor n.
    """
    if isinstance(t, Real) and not isinstance(t, bool):
        try:
            return float(t)
        except OverflowError:
            return math.inf
    times = as_tensor("t", t)
    if times.ndim and times.shape != (n,):
        raise ZooError(f"t has shape {tuple(times.shape)}; expected a number or ({n},)")
    return times


def classes_in_turn(classes: int, n: int) -> Tensor | None:
    """Return class numbers 0, 1, ... over and over, (n,); None where there are no classes."""
    return torch.arange(n) % classes if classes else None


def class_numbers(
    labels: Numbers | None,
    classes: int,
    guidance: float,
    n: int,
    names: Sequence[str] = (),
    *,
    conditional: bool = False,
) -> Tensor | None:
    """Return class numbers, one () or one per sample (n,); None for none.

    Args:
        labels: one number for all or n of them, -1 for no class; or names of classes.
        classes: number of classes of the network.
        guidance: a finite number; other than 1 it needs labels or a condition.
        n: number of samples.
        names: of the classes, where they have some.
        conditional: whether there is a condition.

    Raises:
        ZooError: labels or guidance are not what a network of so many classes takes.
    """
    guidance = check_real("guidance", guidance, "a finite number, 1 for none")
    if labels is None:
        if guidance != 1.0 and not conditional:
            raise ZooError(f"guidance = {guidance} needs labels")
        return None
    if not classes:
        raise ZooError("labels given, but the model is not conditioned on classes")
    label = as_tensor("labels", _numbers_of(labels, names))
    if label.is_floating_point() or label.ndim > 1 or (label.ndim and len(label) != n):
        kind = f" and {label.dtype}" if label.is_floating_point() else ""
        raise ZooError(
            f"labels of shape {tuple(label.shape)}{kind}; expected one number or ({n},), whole ones"
        )
    least = -1 if label.is_signed() else 0  # the end of uint64 becomes -1
    label = label.long()
    if label.numel() and (int(label.min()) < least or int(label.max()) >= classes):
        raise ZooError(f"labels have to be in 0..{classes - 1}, or -1 for no class")
    return label


def _numbers_of(labels: Numbers, names: Sequence[str]) -> Numbers:
    """Return labels with the names of classes among them replaced by their numbers."""
    if isinstance(labels, str):
        if not names:
            raise ZooError(f"labels = {brief(labels)}; expected one number or several, not names")
        if labels not in names:
            raise ZooError(f"no class {brief(labels)}; {did_you_mean(labels, names)}")
        return names.index(labels)
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "US":
        labels = labels.tolist()
    if isinstance(labels, Sequence) and any(isinstance(label, str) for label in labels):
        return [_numbers_of(label, names) for label in labels]  # type: ignore[return-value]
    return labels

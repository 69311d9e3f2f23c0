"""What the user observed, checked: y, operator and noise as an `Observation`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from zoo.config.columns import Column
from zoo.config.standardise import Standardise
from zoo.errors import ZooError
from zoo.interfaces import Observation, Operator, all_finite
from zoo.interfaces.observation import Noise, Shape
from zoo.posterior.images import Blur, Crop, Downscale, Grey
from zoo.posterior.operators import Compose, Mask, as_operator
from zoo.posterior.trial import checked_shape, tried
from zoo.sampling.arguments import Numbers, as_tensor, by_name, warn_outside

# Noise leads out of the range of the images, bytes much further.
_TIMES = 10.0


def observe(
    y: Numbers,
    operator: Operator | Callable[[Tensor], Tensor],
    noise: Numbers,
    *,
    shape: Shape,
    standardise: Standardise | None = None,
    span: tuple[float, float] | None = None,
    like: Tensor | None = None,
    columns: Sequence[Column] = (),
) -> Observation:
    """Return y = A x_0 + n of all samples, as the methods see it.

    Args:
        y: (*out) or (1, *out) for all samples, (n, *out) for one each; in data units.
        operator: A, on data of `shape` in data units, or a differentiable function.
        noise: of y: a standard deviation, one for each number of y, or the covariance (m, m).
        shape: of one sample.
        standardise: the map between data and what the network works with.
        span: range of images, which y has too where it is one.
        like: of the device and dtype that the operator will be given; None for the CPU's float32.
        columns: of the data; a data frame that has the data's shape is read by their names.

    Raises:
        ZooError: shapes that do not fit; y or noise that is not finite; noise that is negative, or
            no covariance; y of bytes; an operator that fails, or is not what it says.
    """
    like = torch.empty(()) if like is None else like
    operator = as_operator(operator, like)
    out = checked_shape(operator, shape, like)
    seen = operator.seen(shape)
    if isinstance(operator, Mask):
        y, noise = by_name("y", y, columns), by_name("noise", noise, columns)
    values = _values(y, out, seen)
    if span is not None:
        if not as_tensor("y", y).is_floating_point():
            raise ZooError(
                "y is of whole numbers, which may be bytes; expected floating-point numbers, "
                f"pixels in [{span[0]:g}, {span[1]:g}]"
            )
        if _of_pixels(operator):
            warn_outside("y", values, span, _TIMES, stacklevel=5)
    law = _noise(noise, out, seen)
    mean, scale = _map(standardise, shape)
    if operator.linear and mean is not None:
        values = values - _of_mean(operator, mean, like)
    return Observation(law.whiten(values), operator, law, shape, mean, scale)


def _of_mean(operator: Operator, mean: Tensor, like: Tensor) -> Tensor:
    """Return A mean, float64, on the CPU: computed so, for y may be small against it, if it can."""
    try:
        found = operator.forward(mean)
    except Exception:  # it has numbers of another dtype, or on another device
        found = tried(operator, "forward", mean.to(like))
    return found.double().cpu()


def _of_pixels(operator: Operator) -> bool:
    """Whether y has the range of the images."""
    if isinstance(operator, Compose):
        return all(map(_of_pixels, operator.operators))
    return isinstance(operator, Mask | Crop | Blur | Downscale | Grey)


def _values(y: Numbers, out: Shape, seen: Tensor | None) -> Tensor:
    """Return y, (R, *out), float64; 0 where it is hidden."""
    given = as_tensor("y", y)
    rows = given[None] if tuple(given.shape) == out else given
    if tuple(rows.shape[1:]) != out or rows.ndim != len(out) + 1 or not len(rows):
        raise ZooError(
            f"y has shape {tuple(given.shape)}; the operator gives {out}: expected that, or "
            f"{_several(out)} for n samples"
        )
    rows = rows.detach().double().cpu()
    if seen is not None:
        rows = torch.where(seen.cpu(), rows, 0)
    if not all_finite(rows):
        raise ZooError("y is not finite" + ("" if seen is None else " where it is seen"))
    return rows


def _several(out: Shape) -> str:
    return f"({', '.join(map(str, ('n', *out)))}{',' * (not out)})"


def _noise(noise: Numbers, out: Shape, seen: Tensor | None) -> Noise:
    """Return the law of n; hidden values have noise of their own, so the rest is marginal."""
    count = math.prod(out)
    given = as_tensor("noise", noise).detach().double().cpu()
    full = tuple(given.shape) == (count, count) != out
    if given.ndim and not full and tuple(given.shape) not in (out, (count,)):
        raise ZooError(
            f"noise has shape {tuple(given.shape)}; expected a standard deviation, {out} of them, "
            f"or a covariance ({count}, {count})"
        )
    if seen is not None and given.ndim:
        here = seen.flatten().cpu()
        if full:
            apart = torch.eye(count, dtype=given.dtype)
            given = torch.where(here[:, None] & here, given, apart)
        else:
            # Not 1: where what is seen has no noise, neither has the rest.
            given = torch.where(here, given.flatten(), given.flatten()[here].max())
    if not all_finite(given):
        raise ZooError("noise is not finite")
    if full:
        return _covariance(given)
    if bool((given < 0).any()) or (bool((given == 0).any()) and bool((given > 0).any())):
        raise ZooError(f"noise is {float(given.min()):g} somewhere; expected positive numbers")
    return Noise(given.reshape(out) if given.ndim else given)


def _covariance(given: Tensor) -> Noise:
    if not torch.allclose(given, given.T, rtol=1e-9, atol=1e-12 * float(given.abs().max())):
        raise ZooError("noise is a covariance that is not symmetric")
    factor, failed = torch.linalg.cholesky_ex(given)
    if int(failed):
        raise ZooError("noise is a covariance that is not positive definite")
    return Noise(factor, full=True)


def _map(standardise: Standardise | None, shape: Shape) -> tuple[Tensor | None, Tensor | None]:
    """Return mean and scale, (1, *shape), float64; None for none."""
    if standardise is None:
        return None, None
    origin = torch.zeros(1, *shape, dtype=torch.float64)
    return standardise.undo(origin), standardise.stretch(origin + 1)

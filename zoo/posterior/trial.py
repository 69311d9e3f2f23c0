"""Operators are tried before they are used: are they what they say they are?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import ZooError, brief
from zoo.interfaces import Operator, all_finite
from zoo.interfaces.observation import Shape
from zoo.posterior.operators import Function


def checked_shape(operator: Operator, shape: Shape, like: Tensor) -> Shape:
    """Return the shape of one y, of an operator that keeps its word on two samples.

    Args:
        operator: to try.
        shape: of one sample.
        like: of the device and dtype that it will be given.

    Raises:
        ZooError: it fails, gives y of another shape than it says, or none at all; or it calls
            itself linear and is not, or its adjoint is that of another operator.
    """
    out = tuple(operator.out_shape(shape))
    if not out or not math.prod(out):
        raise ZooError(
            f"the operator gives y of shape {out}; expected at least one number of a sample, (m,)"
        )
    if operator.linear:
        _check_linear(operator, shape, out, like)
    elif not isinstance(operator, Function):
        name = type(operator).__name__
        _check_shape(name, tried(operator, "forward", torch.zeros(2, *shape).to(like)), out)
        Function(operator.forward, like, name).out_shape(shape)  # that there is a gradient
    return out


def tried(operator: Operator, what: str, *args: object) -> Tensor:
    """Return operator.what(*args); raise ZooError where it fails, or gives no tensor."""
    name = f"{type(operator).__name__}.{what}"
    first = args[0]
    assert isinstance(first, Tensor)
    of = f"{str(first.dtype).removeprefix('torch.')} of shape {tuple(first.shape)}"
    try:
        found = getattr(operator, what)(*args)
    except ZooError:
        raise
    except Exception as error:
        raise ZooError(f"{name} fails on {of}: {brief(error)}") from error
    if not isinstance(found, Tensor):
        raise ZooError(f"{name} gives {brief(found)}; expected a tensor")
    return found


def _check_shape(name: str, once: Tensor, out: Shape) -> None:
    if once.ndim < 1 or len(once) != 2:
        raise ZooError(f"{name}.forward gives {tuple(once.shape)} for 2 samples; expected (2, *)")
    if (found := tuple(once.shape[1:])) != out:
        raise ZooError(f"{name} gives y of shape {found}, and its out_shape says {out}")


def _check_linear(operator: Operator, shape: Shape, out: Shape, like: Tensor) -> None:
    name, generator = type(operator).__name__, torch.Generator().manual_seed(0)
    x = torch.randn(2, *shape, generator=generator).to(like)
    once, twice, none = (tried(operator, "forward", x * factor) for factor in (1, -2, 0))
    _check_shape(name, once, out)
    if not all_finite(once):
        raise ZooError(f"{name} gives numbers that are not finite in {x.dtype}: scale it")
    room = 1e-3 * float(once.abs().max())
    if none.any() or not torch.allclose(twice, -2 * once, rtol=1e-3, atol=room):
        raise ZooError(
            f"{name} is not linear: of -2 x it does not give -2 times what it gives of x, or of 0 "
            "not 0; set linear = False"
        )
    # One y that is A x shows every error of scale, and a random one all others.
    size = once.double().square().mean().sqrt().clamp(min=1e-30).to(once)
    v = once / size + torch.randn(once.shape, generator=generator).to(once)
    back = tried(operator, "adjoint", v, shape)
    if back.shape != x.shape:
        raise ZooError(
            f"the adjoint of {name} gives {tuple(back.shape)} for 2 samples of shape {shape}"
        )
    there, here = (once.double() * v.double()).sum(), (x.double() * back.double()).sum()
    if not abs(there - here) <= 1e-3 * once.double().norm() * v.double().norm():
        raise ZooError(
            f"the adjoint of {name} is not that of its forward: <A x, v> is {float(there):.4g} "
            f"and <x, A^T v> {float(here):.4g}; leave it out, and the derivative takes its place"
        )

"""Operators on data of any shape: what is hidden, matrices, one after another, functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy

import numpy as np
import torch
from torch import Tensor

from zoo.errors import ZooError, brief
from zoo.interfaces import Operator
from zoo.interfaces.checks import describe_value
from zoo.interfaces.observation import Shape, linearised
from zoo.sampling.arguments import Numbers, as_tensor


class Mask(Operator):
    """What is seen of x: y has the data's shape, and its hidden values are ignored.

    Args:
        keep: boolean, True where x is seen, of one sample's shape or what broadcasts to it.

    Raises:
        ZooError: keep is not boolean, True nowhere, or has the names of columns, which are not
            looked at.
    """

    def __init__(self, keep: Numbers) -> None:
        labels = getattr(getattr(keep, "index", None), "dtype", None)  # of a Series
        if hasattr(keep, "columns") or getattr(labels, "kind", "i") not in "iu":
            raise ZooError(
                f"keep is a {type(keep).__name__} with names, which a mask does not know; give it "
                "by position, in the order of the model's columns"
            )
        try:
            given = keep if isinstance(keep, Tensor) else torch.from_numpy(np.array(keep))
        except (TypeError, ValueError) as error:  # text, rows of different lengths
            raise ZooError(
                f"keep is {describe_value(keep)}; expected booleans, True where x is seen"
            ) from error
        if given.dtype != torch.bool:
            raise ZooError(f"keep is {given.dtype}; expected booleans, True where x is seen")
        if not bool(given.any()):
            raise ZooError("keep is True nowhere: a mask of nothing says nothing of x")
        self.keep = given

    def out_shape(self, shape: Shape) -> Shape:
        """Return `shape`.

        Raises:
            ZooError: `keep` does not broadcast to it.
        """
        self.seen(shape)
        return shape

    def forward(self, x: Tensor) -> Tensor:
        """Return x where it is seen and 0 elsewhere, shape of x (B, *shape)."""
        return torch.where(self.keep.to(x.device), x, 0)

    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """Return the same, (B, *shape): the operator is a projection."""
        del shape
        return self.forward(y)

    def seen(self, shape: Shape) -> Tensor:
        """Return keep, of the shape of the data.

        Raises:
            ZooError: it does not broadcast to it.
        """
        try:
            return self.keep.expand(shape)
        except RuntimeError:
            raise ZooError(
                f"keep has shape {tuple(self.keep.shape)}; expected {shape}, one mask for all"
            ) from None


class Linear(Operator):
    """y = A x, x flat: y has shape (m,).

    Args:
        matrix: A, (m, d).

    Raises:
        ZooError: it is no matrix, not finite, or 0.
    """

    def __init__(self, matrix: Numbers) -> None:
        given = as_tensor("matrix", matrix)
        if given.ndim != 2 or not given.numel():
            raise ZooError(f"matrix has shape {tuple(given.shape)}; expected (m, d)")
        self.matrix = given if given.is_floating_point() else given.double()
        if not bool(self.matrix.isfinite().all()):
            raise ZooError("matrix is not finite")
        if not bool(self.matrix.any()):
            raise ZooError("matrix is 0: it says nothing of x")

    def out_shape(self, shape: Shape) -> Shape:
        """Return (m,).

        Raises:
            ZooError: the matrix has not a column for each number of the data.
        """
        if math.prod(shape) != self.matrix.shape[1]:
            raise ZooError(
                f"matrix has shape {tuple(self.matrix.shape)}; data of shape {shape} need "
                f"{math.prod(shape)} columns"
            )
        return (len(self.matrix),)

    def forward(self, x: Tensor) -> Tensor:
        """Return A x, (B, m)."""
        return x.flatten(1) @ self.matrix.to(x).T

    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """Return A^T y, (B, *shape)."""
        return (y @ self.matrix.to(y)).reshape(-1, *shape)


class Compose(Operator):
    """Several operators, the first one first: Compose(Blur(1.5), Downscale(2)).

    Args:
        operators: at least one, or functions.

    Raises:
        ZooError: there is none, or what is given is none.
    """

    def __init__(self, *operators: Operator | Callable[[Tensor], Tensor]) -> None:
        if not operators:
            raise ZooError("Compose() needs at least one operator")
        self.operators = tuple(as_operator(operator) for operator in operators)
        self.linear = all(operator.linear for operator in self.operators)

    def _shapes(self, shape: Shape) -> list[Shape]:
        shapes = [shape]
        for operator in self.operators:
            shapes.append(operator.out_shape(shapes[-1]))
        return shapes

    def out_shape(self, shape: Shape) -> Shape:
        """Return the shape that the last one gives."""
        return self._shapes(shape)[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return what they make of x one after another, (B, *out)."""
        for operator in self.operators:
            x = operator.forward(x)
        return x

    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """Return the adjoints, the last one first, (B, *shape)."""
        for operator, before in zip(
            reversed(self.operators), reversed(self._shapes(shape)[:-1]), strict=True
        ):
            y = operator.adjoint(y, before)
        return y

    def seen(self, shape: Shape) -> Tensor | None:
        """Return what the last one sees, a boolean (*out); None for all."""
        return self.operators[-1].seen(self._shapes(shape)[-2])


class Function(Operator):
    """Any differentiable function of a batch, (B, *shape) -> (B, *out), each sample by itself.

    It is linearised where it is used. Written with torch. One number a sample, (B,), is (B, 1).

    Args:
        function: called with a tensor.
        like: of the device and dtype with which it is tried; None for the CPU's float32.
        name: what it is called in messages; None for its own.
    """

    linear = False

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        like: Tensor | None = None,
        name: str | None = None,
    ) -> None:
        self.function = function
        self._like = torch.empty(()) if like is None else like.new_empty(())
        self._name = brief(getattr(function, "__name__", function)) if name is None else name

    def out_shape(self, shape: Shape) -> Shape:
        """Return the shape of its result for one sample.

        Raises:
            ZooError: it fails on a batch, gives none back or no real numbers, has no gradient, or
                gives other numbers for a sample alone than for one of several.
        """
        x = torch.linspace(-0.5, 0.5, 2 * math.prod(shape)).reshape(2, *shape).to(self._like)
        named = self._name
        try:
            found, alone = self.forward(x), self.forward(x[:1])
        except ZooError:
            raise
        except Exception as error:
            raise ZooError(
                f"operator {named} fails on a batch of shape {tuple(x.shape)}: {brief(error)}"
            ) from error
        if not isinstance(found, Tensor) or found.ndim < 1 or len(found) != 2:
            kind = tuple(found.shape) if isinstance(found, Tensor) else brief(found)
            raise ZooError(f"operator {named} gives {kind} for 2 samples; expected a tensor (2, *)")
        if found.is_complex():
            raise ZooError(
                f"operator {named} gives complex numbers; expected real ones: torch.view_as_real"
            )
        try:
            _, push, pull = linearised(self.forward, x)
            push(pull(torch.ones_like(found)))
        except Exception as error:
            raise ZooError(
                f"operator {named} has no gradient: write it with torch operations that are "
                "differentiable, twice"
            ) from error
        if not _alike(found[:1], alone):
            raise ZooError(
                f"operator {named} gives other numbers for a sample alone than for one of 2; "
                "expected a function of each sample by itself, without random numbers"
            )
        return tuple(found.shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Return function(x), (B, *out)."""
        found = self.function(x)
        one_number = isinstance(found, Tensor) and found.shape == (len(x),)
        return found[:, None] if one_number else found


def _alike(a: Tensor, b: object) -> bool:
    """Whether two results are the same up to the rounding of half precision."""
    if not isinstance(b, Tensor) or a.shape != b.shape:
        return False
    room = 1e-2 * float(a.detach().abs().nan_to_num().amax()) if a.numel() else 0.0
    return torch.allclose(a, b.to(a), rtol=1e-2, atol=room, equal_nan=True)


def as_operator(operator: object, like: Tensor | None = None) -> Operator:
    """Return an operator as it is, a function as a `Function`, tried as `like`.

    Raises:
        ZooError: it is neither.
    """
    if isinstance(operator, Compose | Function) and like is not None:
        operator = copy(operator)
        if isinstance(operator, Compose):
            operator.operators = tuple(as_operator(one, like) for one in operator.operators)
        else:
            operator._like = like.new_empty(())
    if isinstance(operator, Operator):
        return operator
    if isinstance(operator, type) or not callable(operator):
        raise ZooError(
            f"operator is {brief(operator)}; expected one of zoo.posterior, such as Mask(keep) or "
            "Linear(matrix), or a differentiable function"
        )
    return Function(operator, like)

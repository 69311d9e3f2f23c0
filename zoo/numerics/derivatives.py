"""First derivatives of formulas, accurate where they underflow (see zoo.numerics.logjet)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.numerics.logjet import LogJet, UnsupportedError, lift
from zoo.numerics.scaled import Scaled

# Of the largest float: ratios of variables below that power of it may be raised to the tenth.
_REACH = 0.1


def jet(function: Callable[..., Any], *variables: Tensor) -> LogJet:
    """Return function(*variables) with its partial derivatives, elementwise.

    Args:
        function: elementwise formula of the variables, written with torch.
        variables: tensors of one shape and dtype.

    Raises:
        ZooError: the formula uses functions without a rule here, and has no gradient either.
    """
    one = torch.ones_like(variables[0])
    zero = torch.zeros_like(variables[0])
    count = len(variables)
    units = [tuple(one if i == j else None for j in range(count)) for i in range(count)]
    seeds = [LogJet(v, Scaled(v, zero), u, zero) for v, u in zip(variables, units, strict=True)]
    try:
        return lift(function(*seeds), seeds[0])
    except (UnsupportedError, TypeError):
        return _by_autodiff(function, variables)


def log_value(function: Callable[..., Any], *variables: Tensor) -> Tensor:
    """Return log function(*variables), their shape, accurate where the value itself underflows.

    Arguments are as for `jet`; the function is positive.
    """
    zero = torch.zeros_like(variables[0])
    seeds = [LogJet(v, Scaled(v, zero), (), zero) for v in variables]
    try:
        return lift(function(*seeds), seeds[0]).scaled.log()
    except (UnsupportedError, TypeError):
        return torch.as_tensor(function(*variables)).log()


def finite_value(function: Callable[..., Any], *variables: Tensor | float) -> Tensor:
    """Return function(*variables), in logarithms where a power may leave the range of a float.

    (r/t)**4/sqrt(1 + (r/t)**8) is 1 at r = 1e100 t. `variables` are positive, or 0, tensors or
    numbers that broadcast; the result has their common shape.
    """
    plain: Any = function(*variables)
    if not isinstance(plain, Tensor) or not plain.is_floating_point():
        return plain  # type: ignore[no-any-return]  # a LogJet
    given = broadcast(*(torch.as_tensor(v, device=plain.device).double() for v in variables))
    if plain.shape != given[0].shape:
        return plain
    sizes = torch.stack([*given, torch.ones_like(given[0])]).detach()
    far = sizes.amax(0) > sizes.amin(0) * torch.finfo(plain.dtype).max ** _REACH
    far = (far | ~plain.isfinite()) & sizes.isfinite().all(0)
    if not bool(far.any()):
        return plain
    # Apart, so that no derivative passes through what overflows.
    near = function(*(torch.where(far, 1.0, v).to(plain.dtype) for v in given))
    kept = tuple(torch.where(far, v, 1.0) for v in given)
    seeds = [LogJet(v, Scaled.plain(v), (), torch.zeros_like(v)) for v in kept]
    try:
        found = lift(function(*seeds), seeds[0]).scaled.value().to(plain.dtype)
    except (UnsupportedError, TypeError):
        found = plain.detach()
    found = torch.where(found.isfinite(), found, plain.detach())
    return torch.where(far, found, near)


def _by_autodiff(function: Callable[..., Any], variables: Sequence[Tensor]) -> LogJet:
    # Slopes are differentiable if the value is, by a variable or by a tensor inside the formula.
    differentiable = torch.is_grad_enabled() and torch.as_tensor(function(*variables)).requires_grad
    with torch.inference_mode(False), torch.enable_grad():
        # Clones: inference tensors and views of one scalar have no gradient.
        inputs = [
            v.clone() if v.requires_grad else v.detach().clone().requires_grad_() for v in variables
        ]
        plain = function(*inputs)
        if not plain.requires_grad:
            raise ZooError(
                f"{getattr(function, '__qualname__', function)} has no gradient: write it with "
                "differentiable torch functions (zoo.numerics has gammainc and betainc)"
            )
        slopes = torch.autograd.grad(
            plain.sum(), inputs, create_graph=differentiable, allow_unused=True
        )
    plain = plain if differentiable else plain.detach()
    return LogJet(plain, Scaled.plain(plain), slopes, torch.zeros_like(inputs[0]))


@cache
def _load_rules() -> None:
    # torch loads its forward-mode rules on first use, with a deprecation warning.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.func.jvp(torch.exp, (torch.zeros(1),), (torch.ones(1),))


def derivative(
    function: Callable[[Tensor], Tensor], at: Tensor, tangent: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (function(at), its derivative along `tangent`), each of the shape of function(at).

    By automatic differentiation in forward mode; `tangent` has the shape of `at`.
    """
    _load_rules()
    # Clones: forward mode refuses expanded tensors.
    value, rate = torch.func.jvp(function, (at.clone(),), (tangent.clone(),))[:2]
    return value, rate


def broadcast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors expanded to their common shape."""
    return tuple(torch.broadcast_tensors(*tensors))  # type: ignore[no-untyped-call]

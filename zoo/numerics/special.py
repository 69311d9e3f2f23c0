"""Incomplete beta and gamma functions with derivatives, and ratios of gamma functions.

torch has no incomplete beta function, and its incomplete gamma function is wrong by up to 1e-10
near a = x for a > 200. Here scipy computes the values on the CPU in float64. The derivative
in x is the density of the distribution whose CDF the function is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
import torch
from torch import Tensor

from zoo.errors import ZooError

STIRLING_FROM = 30.0


def _stirling_remainder(x: float) -> float:
    """Return lgamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2), to 1e-16 for x >= 30."""
    y = 1 / (x * x)
    return (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y / 1188)))) / x


def log_gamma_ratio(a: float, b: float) -> float:
    """Return log Gamma(a + b) - log Gamma(a), a > 0, b >= 0, accurate for large a too.

    A difference of two lgamma loses about log10(a) digits. This function loses none: for large a
    it uses Stirling's series (DLMF 5.11.1) with the leading terms cancelled by hand.
    """
    if a < STIRLING_FROM:
        return math.lgamma(a + b) - math.lgamma(a)
    leading = (a - 0.5) * math.log1p(b / a) + b * (math.log(a + b) - 1)
    return leading + _stirling_remainder(a + b) - _stirling_remainder(a)


def log_beta(a: float, b: float) -> float:
    """Return log B(a, b) = log Gamma(a) + log Gamma(b) - log Gamma(a + b)."""
    small, large = min(a, b), max(a, b)
    return math.lgamma(small) - log_gamma_ratio(large, small)


def on_cpu(function: Callable[[np.ndarray], np.ndarray], x: Tensor) -> Tensor:
    """Apply a numpy function in float64 on the CPU; the result is like x, without gradient."""
    numbers = x.detach().to("cpu", torch.float64).numpy()
    return torch.as_tensor(np.asarray(function(numbers))).to(x)


class _Incomplete(torch.autograd.Function):
    """A CDF by scipy; its derivative in x is the density, given by its log.

    In the form that torch.func.grad, jacrev, jvp and vmap take too.
    """

    @staticmethod
    def forward(
        cdf: Callable[[np.ndarray], np.ndarray],
        log_density: Callable[[Tensor], Tensor],
        x: Tensor,
    ) -> Tensor:
        del log_density
        return on_cpu(cdf, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        del output
        _, ctx.log_density, x = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor]:
        (x,) = ctx.saved_tensors
        return None, None, grads[0] * ctx.log_density(x).exp()

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        (x,) = ctx.saved_tensors
        change: Tensor = tangents[-1] * ctx.log_density(x).exp()
        return change

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], cdf: Any, log_density: Any, x: Tensor
    ) -> tuple[Any, Any]:
        del info  # each number by itself, whatever the dimension
        return _Incomplete.apply(cdf, log_density, x), in_dims[-1]


def _parameter(name: str, value: float | Tensor) -> float:
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ZooError(f"{name} of an incomplete function varies; expected one number")
    return float(value)


def gammainc(a: float | Tensor, x: Tensor) -> Tensor:
    """Return P(a, x), the regularised lower incomplete gamma function, like x.

    a is a positive number, x >= 0. Differentiable in x: dP/dx = x^(a-1) e^(-x) / Gamma(a).
    """
    if torch.overrides.has_torch_function_unary(x):
        result: Tensor = torch.overrides.handle_torch_function(gammainc, (x,), a, x)
        return result
    p = _parameter("a", a)
    value: Tensor = _Incomplete.apply(
        lambda v: scipy.special.gammainc(p, v), lambda v: (p - 1) * v.log() - v - math.lgamma(p), x
    )
    return value


def betainc(a: float | Tensor, b: float | Tensor, x: Tensor) -> Tensor:
    """Return I_x(a, b), the regularised incomplete beta function, like x.

    a and b are positive numbers, x in [0, 1]. Differentiable in x:
    dI/dx = x^(a-1) (1-x)^(b-1) / B(a, b).
    """
    if torch.overrides.has_torch_function_unary(x):
        result: Tensor = torch.overrides.handle_torch_function(betainc, (x,), a, b, x)
        return result
    p, q = _parameter("a", a), _parameter("b", b)
    value: Tensor = _Incomplete.apply(
        lambda v: scipy.special.betainc(p, q, v),
        lambda v: (p - 1) * v.log() + (q - 1) * torch.log1p(-v) - log_beta(p, q),
        x,
    )
    return value

"""The linear part of a kernel's ODE, and what is left of the field without it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, Flow, over
from zoo_solvers.plan import Number, mix

# Bounds on a sample's own noise level over the kernel's typical one.
LEAST_SHARE, LARGEST_SHARE = 1e-3, 1e3

_SCALAR: WeakKeyDictionary[FieldKernel, bool] = WeakKeyDictionary()
# The factors of the last walk on each kernel: batches of one size share them.
_FACTORS: WeakKeyDictionary[FieldKernel, tuple[list[float], list[float], list[float]]] = (
    WeakKeyDictionary()
)
# The factors of the field by time, of solvers that ask for one at a time.
_AT_TIME: WeakKeyDictionary[FieldKernel, dict[float, tuple[float, float]]] = WeakKeyDictionary()
_MOST_TIMES, _MOST_NUMBERS = 4096, 2**18
_STEP, _TOLERANCE = 1e-4, 1e-4


def is_scalar(kernel: FieldKernel) -> bool:
    """Tell whether x_t / sigma - x_0 alpha / sigma is constant on conditional trajectories.

    Then dx/dt = (sigma'/sigma) x + (alpha' - alpha sigma'/sigma) D with D = E[x_0 | x_t] and
    (alpha, sigma) = kernel.marginal(t). It holds for Gaussian paths and self-similar kernels; a
    kernel may be affine without it (noise that rotates), so the velocity itself is asked.
    """
    if not kernel.affine:
        return False
    if kernel not in _SCALAR:
        _SCALAR[kernel] = _probe(kernel)
    return _SCALAR[kernel]


def _probe(kernel: FieldKernel) -> bool:
    t = math.sqrt(kernel.t_min * kernel.t_max)
    around = torch.tensor([t * (1 - _STEP), t, t * (1 + _STEP)], dtype=torch.float64)
    alpha, sigma = (v.double().cpu() for v in kernel.marginal(around))
    growth = float((sigma[2] - sigma[0]) / sigma[1]) / (2 * _STEP * t)
    drift = float(alpha[2] - alpha[0]) / (2 * _STEP * t) - float(alpha[1]) * growth
    generator = torch.Generator().manual_seed(0)
    x_0, x_t = torch.randn(2, 1, kernel.dim, generator=generator, dtype=torch.float64)
    expected = growth * x_t + drift * x_0
    error = (kernel.velocity(x_t, x_0, t) - expected).abs().max()
    return bool(error <= _TOLERANCE * expected.abs().max())


def denoiser(flow: Flow) -> Callable[[Tensor, float | Tensor], Tensor]:
    """Return D(x, t), the slowly varying part of the field, shape (B, *).

    E[x_0 | x_t] where the linear part is the marginal's; else x - t f, since any ODE can be
    written dx/dt = (x - D) / t.
    """
    if is_scalar(flow.kernel):
        return flow.denoise

    def left_over(x: Tensor, t: float | Tensor) -> Tensor:
        return x - over(t, x) * flow.field(x, t)

    return left_over


@dataclass(frozen=True)
class Field:
    """dx/dt = pull x + push V(x, t) at the nodes of a walk, V one evaluation.

    Attributes:
        value: V, the denoiser, or the field itself with pull 0 and push 1.
        pull, push: one number per node.
    """

    value: Callable[[Tensor, Number], Tensor]
    pull: list[float]
    push: list[float]


def evaluation(flow: Flow) -> Callable[[Tensor, Number], Tensor]:
    """Return V: the denoiser where the ODE has a linear part without it, else the field itself."""
    return flow.denoise if is_scalar(flow.kernel) else flow.field


def field_along(flow: Flow, times: list[float]) -> Field:
    """Return the field at given times with its two factors worked out beforehand.

    A step is then a sum of x and V with known weights: fewer passes over the state than forming
    the velocity and adding it.
    """
    value = evaluation(flow)
    if not is_scalar(flow.kernel):
        return Field(value, [0.0] * len(times), [1.0] * len(times))
    kept = _FACTORS.get(flow.kernel)
    if kept is None or kept[0] != times:
        kept = (times, *_factors(flow.kernel, times))
        _FACTORS[flow.kernel] = kept
    return Field(value, kept[1], kept[2])


def slope(flow: Flow) -> Callable[[Tensor, float], Tensor]:
    """Return dx/dt at (x, t), shape (B, *), its linear part by numbers that are worked out once."""
    if not is_scalar(flow.kernel):
        return flow.field
    known = _AT_TIME.setdefault(flow.kernel, {})

    def field(x: Tensor, t: float) -> Tensor:
        if t not in known:
            if len(known) >= _MOST_TIMES:
                known.clear()
            (pull,), (push,) = _factors(flow.kernel, [t])
            known[t] = pull, push
        pull, push = known[t]
        return mix([x], [pull], [flow.denoise(x, t)], [push])

    return field


def _factors(kernel: FieldKernel, times: list[float]) -> tuple[list[float], list[float]]:
    pull, push = list[float](), list[float]()
    # A velocity has all coordinates, of which one tells: not of all times at once.
    at_once = max(1, _MOST_NUMBERS // kernel.dim)
    for t in torch.split(torch.tensor(times, dtype=torch.float64), at_once):
        zero = torch.zeros(len(t), kernel.dim, dtype=torch.float64)
        pull += kernel.velocity(zero + 1, zero, t)[:, 0].tolist()
        push += kernel.velocity(zero, zero + 1, t)[:, 0].tolist()
    return pull, push


def marginal(kernel: FieldKernel, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return (alpha, sigma) of the linear part that `denoiser` leaves, like t."""
    if not is_scalar(kernel):
        return torch.ones_like(t), t
    alpha, sigma = kernel.marginal(t)
    return alpha.to(t), sigma.to(t)


def typical_noise(kernel: FieldKernel, t: float) -> float | None:
    """Return the typical |x - D| at t; None where t determines every sample's level."""
    if not (kernel.random_level and is_scalar(kernel)):
        return None
    return float(kernel.level(t)) * math.sqrt(kernel.dim)


def own_share(kernel: FieldKernel, x: Tensor, d: Tensor, t: float) -> Tensor | None:
    """Return each sample's noise level over the typical one, (B,); None where t determines it."""
    typical = typical_noise(kernel, t)
    return None if typical is None else share_of(typical, x, d)


def share_of(typical: float, x: Tensor, d: Tensor) -> Tensor:
    """Return each sample's noise level over the typical one, (B,), float64.

    |x - D| / sqrt(dim) is the sample's level, to a relative 1 / sqrt(2 dim); along the ODE of a
    self-similar kernel it stays proportional to t, since the sample keeps its quantile.
    """
    # With the digits of D: the level that is read off x has fewer.
    noise = (x.to(d.dtype) - d).flatten(1)
    size: Tensor = torch.linalg.vector_norm(noise, dim=1).to(torch.float64)
    return (size / typical).clamp(LEAST_SHARE, LARGEST_SHARE)

"""The linear part of a kernel's ODE, at a time and integrated along a grid.

For most kernels the velocity is linear in x and in the denoiser D = E[x_0 | x_t],

    dx/dt = drift(t) x + gain(t) D(x, t),
    drift = d log(sigma)/dt,   gain = d alpha/dt - alpha drift

with (alpha, sigma) = kernel.marginal(t): Gaussian paths and self-similar kernels, which declare
`affine_path`. Dividing by sigma leaves d(x/sigma) = D d(alpha/sigma), so over a step to sigma'

    x' = (sigma'/sigma) x + sigma' integral of D d(alpha/sigma)

without error. Only D has to be interpolated. For any other kernel D := x - t f and
(alpha, sigma) = (1, t) fulfil the same equations, since any ODE is dx/dt = (x - D) / t.

A sample of a kernel whose level is random (gravity) has its own sigma, a constant multiple of the
kernel's typical one: its level ratio.

Source: exponential integrators, Hochbruck and Ostermann, Acta Numerica 19 (2010) 209.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice
from weakref import WeakKeyDictionary

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from zoo.interfaces import LARGEST_RATIO, LEAST_RATIO, SIGMA_DATA, FieldKernel, Flow, over

# One for all samples, or one per sample: times (B,), coefficients (B, 1, ...).
Number = float | Tensor
Evaluation = Callable[[Tensor, Number], Tensor]

# Gauss points and weights of the interval from 0 to 1.
_POINTS, _WEIGHTS = (torch.from_numpy(v) / 2 for v in leggauss(12))
_POINTS += 0.5
# Places of the nodes before the first: far from all others, and from each other.
_FAR = torch.tensor([2e30, 1e30], dtype=torch.float64)
# Offsets of nodes in the order of the Newton polynomials.
_NEAREST_FIRST = (0, 1, -1, -2)
_ZERO = torch.zeros(())


# Per kernel, by time: batches of one model share them.
_FACTORS: WeakKeyDictionary[FieldKernel, dict[float, tuple[float, float]]] = WeakKeyDictionary()
_MOST_TIMES = 4096


def drift_and_gain(kernel: FieldKernel, t: float) -> tuple[float, float]:
    """Return the factors of x and of `evaluation` in dx/dt at t; (0, 1) without a linear part."""
    if not kernel.affine_path:
        return 0.0, 1.0
    known = _FACTORS.setdefault(kernel, {})
    if t not in known:
        if len(known) >= _MOST_TIMES:
            known.clear()
        known[t] = _factors(kernel, t)
    return known[t]


def _factors(kernel: FieldKernel, t: float) -> tuple[float, float]:
    zero = torch.zeros(1, kernel.dim, dtype=torch.float64)
    drift, gain = kernel.velocity(zero + 1, zero, t), kernel.velocity(zero, zero + 1, t)
    return float(drift[0, 0]), float(gain[0, 0])


def evaluation(flow: Flow) -> Evaluation:
    """Return V(x, t) of dx/dt = drift x + gain V: the denoiser, or the field itself, (B, *)."""
    return flow.denoise if flow.kernel.affine_path else flow.field


def field(flow: Flow, x: Tensor, t: float) -> Tensor:
    """Return dx/dt at (x, t), shape (B, *), its linear part by numbers that are worked out once."""
    drift, gain = drift_and_gain(flow.kernel, t)
    return combine([x], [drift], [evaluation(flow)(x, t)], [gain])


def denoiser(flow: Flow) -> Evaluation:
    """Return D(x, t), (B, *): E[x_0 | x_t], or x - t f where there is no linear part."""
    if flow.kernel.affine_path:
        return flow.denoise
    return lambda x, t: x - over(t, x) * flow.field(x, t)


def marginal(kernel: FieldKernel, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return (alpha, sigma) that belong to `denoiser`, like t."""
    if not kernel.affine_path:
        return torch.ones_like(t), t
    alpha, sigma = kernel.marginal(t)
    return alpha.to(t), sigma.to(t)


def typical_noise(kernel: FieldKernel, t: float) -> float | None:
    """Return the typical |x - D| at t; None where t determines every sample's level."""
    if not (kernel.random_level and kernel.affine_path):
        return None
    return float(kernel.level(t)) * math.sqrt(kernel.dim)


def level_ratio(typical: float, x: Tensor, d: Tensor) -> Tensor:
    """Return each sample's noise level over the typical one, (B,), float64.

    |x - D| / sqrt(dim) is the sample's level, to a relative 1 / sqrt(2 dim); along the ODE of a
    self-similar kernel it stays proportional to t, since the sample keeps its quantile.

    Args:
        typical: the typical |x - D|, see `typical_noise`.
        x: states (B, *).
        d: the denoiser there, (B, *).
    """
    # With the digits of D: the level that is read off x has fewer.
    noise = (x.to(d.dtype) - d).flatten(1)
    size: Tensor = torch.linalg.vector_norm(noise, dim=1).to(torch.float64)
    return (size / typical).clamp(LEAST_RATIO, LARGEST_RATIO)


def scale_of(flow: Flow, given: float | None) -> float:
    """Return the standard deviation of the data: as given, the model's own, or EDM's 0.5."""
    return given or flow.sigma_data or SIGMA_DATA


# Along a grid


class LinearPart:
    """The linear part of an ODE, integrated over every step of a grid.

        x_{i+1} = decay_i x_i + factor_{i+1} integral of V density du

    Args:
        u: the variable of the integral at the nodes, (steps + 1,) or (steps + 1, B), float64.
        factor: the integrating factor at the nodes, like u.
        density: a function of u, multiplies V under the integral.
        place: a function of u, the variable of the polynomials that interpolate V.

    Attributes:
        steps: number of steps.
        decay: factor_{i+1} / factor_i, shape (steps, ...).
    """

    def __init__(
        self,
        u: Tensor,
        factor: Tensor,
        density: Callable[[Tensor], Tensor],
        place: Callable[[Tensor], Tensor],
    ) -> None:
        self.steps, self.decay = len(u) - 1, factor[1:] / factor[:-1]
        points, weights = (v.to(u).reshape(-1, *(1,) * u.ndim) for v in (_POINTS, _WEIGHTS))
        inside = torch.lerp(u[:-1], u[1:], points)
        # Weight and place of every Gauss point of every step, shape (points, steps, ...).
        self._measure = density(inside) * (weights * ((u[1:] - u[:-1]) * factor[1:]))
        self._inside = place(inside)
        # Places of the nodes, after two that do not exist, shape (2 + steps + 1, ...).
        far = _FAR.to(u).reshape(2, *(1,) * (u.ndim - 1)).expand(2, *u.shape[1:])
        self._nodes = torch.cat([far, place(u)])
        self._integrals: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def weights(self, offsets: Sequence[int]) -> Tensor:
        """Return the weight of V at node i + offset in step i, of offsets -2 to 1.

        V is the polynomial through these nodes. Shape (steps, len(offsets), ...). The weights are
        right for the Newton polynomials 1, p - p_0, (p - p_0) (p - p_1), ... of the place p, p_j
        that of a node. The first steps use the nodes that exist: those that do not are so far away
        that their weights vanish.
        """
        order = sorted(offsets, key=_NEAREST_FIRST.index)
        nodes = [self._nodes[2 + offset :][: self.steps] for offset in order]
        columns = [self._integral((*order[:k],))[1] for k in range(len(order))]
        # So far integrals of the polynomials. p - p_j, a factor of those after the j-th, is taken
        # out of their weights, the last first: the weights of a step sum to the integral of 1.
        for j in reversed(range(len(nodes) - 1)):
            for k in range(j + 1, len(nodes)):
                columns[k] = columns[k] / (nodes[k] - nodes[j])
                columns[j] = columns[j] - columns[k]
        return torch.stack([columns[order.index(offset)] for offset in offsets], dim=1)

    def _integral(self, roots: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return the product of (p - p_j), j the offsets `roots`, at the Gauss points; integrated.

        Kept: a predictor and its corrector have most of them in common.
        """
        if roots not in self._integrals:
            basis = self._measure
            if roots:
                node = self._nodes[2 + roots[-1] :][: self.steps]
                basis = self._integral(roots[:-1])[0] * (self._inside - node)
            self._integrals[roots] = basis, basis.sum(dim=0)
        return self._integrals[roots]


def exponential_part(alpha: Tensor, sigma: Tensor, scale: float) -> LinearPart:
    """Return the linear part that `denoiser` leaves, along nodes of such (alpha, sigma).

    D is interpolated in w = 1 / sqrt(1 + (level/scale)^2) = tanh psi, psi = asinh(scale alpha /
    sigma), in which it is smooth at both ends: it moves like w while noise is left to go and like
    w^2 at the end. For data N(0, scale^2 I) D is linear in w, for a single point constant: two
    nodes are exact for both. In log level, with scale -> 0, the methods are DPM-Solver++
    (arXiv:2211.01095) and UniPC (arXiv:2302.04867).

    Args:
        alpha: signal scale at the nodes, (steps + 1, ...).
        sigma: noise scale at the nodes, the sample's own where its level is random.
        scale: standard deviation of the data, in data units.
    """

    def density(psi: Tensor) -> Tensor:
        return psi.cosh() / scale  # d(alpha/sigma) / dpsi

    def place(psi: Tensor) -> Tensor:
        return (-2 * psi).sigmoid()  # (1 - tanh psi) / 2, without cancellation

    return LinearPart((scale * alpha / sigma).asinh(), sigma, density, place)


# The sum that is a step


def combine(
    states: Sequence[Tensor],
    on_states: Sequence[Number],
    values: Sequence[Tensor],
    on_values: Sequence[Number],
    work: Tensor | None = None,
) -> Tensor:
    """Return the sum of weights times states and of weights times values, a new tensor (B, *).

    The sum of the values is formed in their dtype, since they have no more digits, and added in
    the states'. Weights of what is not there yet, early on a grid, are left out. `work`, like a
    value and of another dtype than the states, is overwritten.
    """
    dtype = states[0].dtype
    if values[0].dtype != dtype and min(len(on_values), len(values)) == 1:
        total = values[0].to(dtype, copy=True).mul_(on_values[0])
    else:
        total = _scaled(values[0], on_values[0], work)
        for value, weight in zip(islice(values, 1, None), on_values[1:], strict=False):
            _add(total, value, weight)
        total = total.to(dtype)
    for state, weight in zip(states, on_states, strict=False):
        _add(total, state, weight)
    return total


def _scaled(value: Tensor, weight: Number, out: Tensor | None) -> Tensor:
    if isinstance(weight, Tensor):
        return torch.mul(value, weight, out=out)
    # Not value * weight: torch first makes a tensor of the number, and casts it.
    return torch.add(_ZERO, value, alpha=weight, out=out)


def _add(total: Tensor, value: Tensor, weight: Number) -> None:
    if isinstance(weight, Tensor):
        total.addcmul_(value, weight)
    else:
        total.add_(value, alpha=weight)

"""Multistep coefficients: the linear part exact, the slowly varying part interpolated.

With x_t = alpha x_0 + sigma n the ODE is d(x/sigma) = D d(alpha/sigma), D = E[x_0 | x_t], so

    x' = (sigma'/sigma) x + sigma' integral of D dkappa,   kappa = alpha / sigma = 1 / level

without error. D is interpolated by the polynomial through its last values in the variable

    w = 1 / sqrt(1 + (level/scale)^2) = tanh psi,   psi = asinh(scale kappa)

in which D is smooth at both ends: it moves like w while noise is left to go (w ~ scale kappa)
and like w^2 at the end. For data N(0, scale^2 I) D is linear in w, for a single point constant:
two nodes are exact for both. The integrals are taken by Gauss-Legendre quadrature in psi.

A sample of a kernel whose level is random (gravity) lives at its own level, a constant share of
the kernel's typical one, and gets its own coefficients.

Source: exponential Adams methods, Hochbruck and Ostermann, Acta Numerica 19 (2010) 209; in
log level, with scale -> 0, they are DPM-Solver++ (arXiv:2211.01095) and UniPC
(arXiv:2302.04867).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

_NODES, _WEIGHTS = (torch.from_numpy(v) for v in leggauss(12))


class Line(ABC):
    """The nodes of a walk, steps + 1 of them, and how a slope is integrated between them.

    Attributes:
        clock: the variable of the integrals, shape (steps + 1,) or (steps + 1, B), float64.
    """

    clock: Tensor

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.clock) - 1

    @abstractmethod
    def place(self, clock: Tensor) -> Tensor:
        """Return the variable of the interpolating polynomials, like clock."""

    @abstractmethod
    def measure(self, clock: Tensor) -> Tensor:
        """Return what the slope is multiplied with under the integral, like clock."""

    @abstractmethod
    def arrival(self) -> Tensor:
        """Return the factor of the integral at the end of every step, shape (steps, ...)."""

    @abstractmethod
    def shrink(self) -> Tensor:
        """Return the factor of x in every step, shape (steps, ...)."""

    def weights(self, offsets: tuple[int, ...], first: int, last: int) -> Tensor:
        """Return the weight of the value at node i + offset in step i, first <= i < last.

        Shape (last - first, len(offsets), ...).
        """
        low, high = self.clock[first:last, None], self.clock[first + 1 : last + 1, None]
        shape = (1, -1, *(1,) * (low.ndim - 2))
        inside = torch.lerp(low, high, (_NODES.to(low).reshape(shape) + 1) / 2)
        measure = _WEIGHTS.to(low).reshape(shape) * (high - low) / 2 * self.measure(inside)
        place = self.place(inside)
        nodes = [self.place(self.clock[first + o : last + o, None]) for o in offsets]
        columns = []
        for j, here in enumerate(nodes):
            basis = measure
            for k, there in enumerate(nodes):
                if k != j:
                    basis = basis * (place - there) / (here - there)
            columns.append(basis.sum(dim=1))
        return torch.stack(columns, dim=1) * self.arrival()[first:last, None]


class Exponential(Line):
    """x' = (sigma'/sigma) x + sigma' integral of D dkappa; sigma is the sample's own.

    Args:
        alpha: signal scale at the nodes.
        sigma: noise scale at the nodes.
        scale: standard deviation of the data, in data units.
    """

    def __init__(self, alpha: Tensor, sigma: Tensor, scale: float) -> None:
        self.clock = (scale * alpha / sigma).asinh()
        self._sigma, self._scale = sigma, scale

    def place(self, clock: Tensor) -> Tensor:
        """Return 1 - tanh psi, without cancellation."""
        return 2 / (1 + (2 * clock).exp())

    def measure(self, clock: Tensor) -> Tensor:
        """Return scale dkappa/dpsi = cosh psi."""
        return clock.cosh()

    def arrival(self) -> Tensor:
        """Return sigma' / scale."""
        return self._sigma[1:] / self._scale

    def shrink(self) -> Tensor:
        """Return sigma' / sigma."""
        return self._sigma[1:] / self._sigma[:-1]


class Classical(Line):
    """x' = x + integral of (dx/du) du, u the clock itself."""

    def __init__(self, clock: Tensor) -> None:
        self.clock = clock

    def place(self, clock: Tensor) -> Tensor:
        """Return u."""
        return clock

    def measure(self, clock: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(clock)

    def arrival(self) -> Tensor:
        """Return 1."""
        return torch.ones_like(self.clock[1:])

    def shrink(self) -> Tensor:
        """Return 1."""
        return torch.ones_like(self.clock[1:])


def bashforth(line: Line, order: int) -> Tensor:
    """Return the weights of the values at i, i - 1, ... in step i, shape (steps, order, ...).

    The first steps use the nodes that exist.
    """
    table = line.clock.new_zeros(line.steps, order, *line.clock.shape[1:])
    for known in range(1, order + 1):
        first = known - 1
        last = line.steps if known == order else min(known, line.steps)
        if first < last:
            table[first:last, :known] = line.weights(tuple(range(0, -known, -1)), first, last)
    return table


def moulton(line: Line, order: int) -> Tensor:
    """Return the weights of the values at i + 1, i, ... in step i, shape (steps, order, ...).

    The first steps use the nodes that exist.
    """
    table = line.clock.new_zeros(line.steps, order, *line.clock.shape[1:])
    for known in range(2, order + 1):
        first = known - 2
        last = line.steps if known == order else min(known - 1, line.steps)
        if first < last:
            offsets = tuple(range(1, 1 - known, -1))
            table[first:last, :known] = line.weights(offsets, first, last)
    return table


def corrected(line: Line, predictor: Tensor, corrector: Tensor, until: int) -> Tensor:
    """Return the weights of the values at i, i - 1, ... of predictor and corrector together.

    Step i ends at a prediction; once the value there is known the corrector would move it by
    delta_i = corrector_i - predictor_i, weights of the values at i + 1, i, ... Step i + 1 starts
    from the corrected point, so its weights gain shrink delta_i: the corrected points need never
    be formed, and the corrector costs neither an evaluation nor a pass over the state. It is
    applied to the first `until` steps; the last step's prediction stands.
    """
    width = max(predictor.shape[1], corrector.shape[1])
    table, delta = (
        torch.cat([v, v.new_zeros(len(v), width - v.shape[1], *v.shape[2:])], dim=1)
        for v in (predictor, corrector)
    )
    delta[:, 1:] -= table[:, :-1]
    count = min(until, line.steps - 1)
    table[1 : count + 1] += line.shrink()[1 : count + 1, None] * delta[:count]
    return table

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
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

# Gauss points and weights of the interval from 0 to 1.
_POINTS, _WEIGHTS = (torch.from_numpy(v) / 2 for v in leggauss(12))
_POINTS += 0.5
# Places of the nodes before the first: far from all others, and from each other.
_FAR = torch.tensor([2e30, 1e30], dtype=torch.float64)
# Offsets of nodes in the order of the Newton polynomials.
_NEAREST_FIRST = (0, 1, -1, -2)


class Weights(NamedTuple):
    """The weights of every step of a walk.

    Attributes:
        table: shape (steps, count, ...): of the states, newest first, then of the values.
        states: how many of them are of states.
    """

    table: Tensor
    states: int


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

    def weights_by(self, table: Tensor) -> Weights:
        """Return the weights of a step's states and values, `table` being those of its slopes."""
        return Weights(torch.cat([self.shrink()[:, None], table], dim=1), 1)

    @cached_property
    def _quadrature(self) -> tuple[Tensor, Tensor]:
        """Weight, and place, of every Gauss point of every step, shape (points, steps, ...)."""
        low, high = self.clock[:-1], self.clock[1:]
        points, weights = (v.to(low).reshape(-1, *(1,) * low.ndim) for v in (_POINTS, _WEIGHTS))
        inside = torch.lerp(low, high, points)
        size = (high - low) * self.arrival()
        return self.measure(inside) * (weights * size), self.place(inside)

    @cached_property
    def _places(self) -> Tensor:
        """Places of the nodes, after two that do not exist: shape (2 + steps + 1, ...)."""
        places = self.place(self.clock)
        far = _FAR.to(places).reshape(2, *(1,) * (places.ndim - 1))
        return torch.cat([far.expand(2, *places.shape[1:]), places])

    def weights(self, offsets: Sequence[int]) -> Tensor:
        """Return the weight of the value at node i + offset in step i, of offsets -2 to 1.

        Shape (steps, len(offsets), ...). They are right for the Newton polynomials 1, p - p_0,
        (p - p_0) (p - p_1), ... of the place p, p_j that of a value. The first steps use the nodes
        that exist: those that do not are so far away that their weights vanish.
        """
        order = sorted(offsets, key=_NEAREST_FIRST.index)
        nodes = [self._places[2 + offset :][: self.steps] for offset in order]
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
            basis, place = self._quadrature
            if roots:
                node = self._places[2 + roots[-1] :][: self.steps]
                basis = self._integral(roots[:-1])[0] * (place - node)
            self._integrals[roots] = basis, basis.sum(dim=0)
        return self._integrals[roots]

    @cached_property
    def _integrals(self) -> dict[tuple[int, ...], tuple[Tensor, Tensor]]:
        return {}


class Exponential(Line):
    """x' = (sigma'/sigma) x + sigma' integral of D dkappa; sigma is the sample's own.

    Args:
        alpha: signal scale at the nodes.
        sigma: noise scale at the nodes.
        scale: standard deviation of the data, in data units.
    """

    def __init__(self, alpha: Tensor, sigma: Tensor, scale: float) -> None:
        self.clock = (scale * alpha / sigma).asinh()
        self._arrival, self._shrink = sigma[1:] / scale, sigma[1:] / sigma[:-1]

    def place(self, clock: Tensor) -> Tensor:
        """Return (1 - tanh psi) / 2, without cancellation."""
        return (-2 * clock).sigmoid()

    def measure(self, clock: Tensor) -> Tensor:
        """Return scale dkappa/dpsi = cosh psi."""
        return clock.cosh()

    def arrival(self) -> Tensor:
        """Return sigma' / scale."""
        return self._arrival

    def shrink(self) -> Tensor:
        """Return sigma' / sigma."""
        return self._shrink


class Classical(Line):
    """x' = x + integral of (dx/du) du, dx/du = pull x + push V, u the clock itself.

    Args:
        clock: u at the nodes, (steps + 1,).
        pull, push: factors of the state and of the value V at the nodes, like clock.
    """

    def __init__(self, clock: Tensor, pull: Tensor, push: Tensor) -> None:
        self.clock, self._pull, self._push = clock, pull, push

    def weights_by(self, table: Tensor) -> Weights:
        """Return the weights of the states and of the values V; of one state if pull is 0."""
        states, values = (table.clone() for _ in range(2))
        for back in range(table.shape[1]):
            states[back:, back] *= self._pull[: self.steps - back]
            values[back:, back] *= self._push[: self.steps - back]
        states[:, 0] += 1
        states = states if self._pull.any() else states[:, :1]
        return Weights(torch.cat([states, values], dim=1), states.shape[1])

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
    """Return the weights of the values at i, i - 1, ... in step i, shape (steps, order, ...)."""
    return line.weights(range(0, -order, -1))


def moulton(line: Line, order: int) -> Tensor:
    """Return the weights of the values at i + 1, i, ... in step i, shape (steps, order, ...)."""
    return line.weights(range(1, 1 - order, -1))


def corrected(line: Line, predictor: Tensor, corrector: Tensor, until: int) -> Tensor:
    """Return the weights of the values at i, i - 1, ... of predictor and corrector together.

    Step i ends at a prediction; once the value there is known the corrector would move it by
    delta_i = corrector_i - predictor_i, weights of the values at i + 1, i, ... Step i + 1 starts
    from the corrected point, so its weights gain shrink delta_i: the corrected points need never
    be formed, and the corrector costs neither an evaluation nor a pass over the state. It is
    applied to the first `until` steps; the last step's prediction stands. Both tables may be
    written over.
    """
    count = min(until, line.steps - 1)
    table = _widened(predictor, corrector.shape[1])
    delta = _widened(corrector[:count], table.shape[1])
    delta[:, 1:] -= table[:count, :-1]
    table[1 : count + 1].addcmul_(line.shrink()[1 : count + 1, None], delta)
    return table


def _widened(table: Tensor, width: int) -> Tensor:
    """Return table, (steps, count, ...), with columns of 0 up to width, if any are missing."""
    missing = width - table.shape[1]
    if missing <= 0:
        return table
    return torch.cat([table, table.new_zeros(len(table), missing, *table.shape[2:])], dim=1)

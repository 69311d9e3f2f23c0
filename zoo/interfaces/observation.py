"""What is known of a sample: y = A x_0 + n, n ~ N(0, S), as methods see it, with noise N(0, I)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

Shape = tuple[int, ...]


class Operator(ABC):
    """A, from data x_0 (B, *shape) to what is observed of them, (B, *out).

    Attributes:
        linear: forward is linear in x. Others are linearised where they are used.
    """

    linear: bool = True

    @abstractmethod
    def out_shape(self, shape: Shape) -> Shape:
        """Return the shape of one y for data of a shape.

        Raises:
            ZooError: data of that shape cannot be observed so.
        """

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return A x, shape (B, *out), for x of shape (B, *shape); differentiable."""

    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """Return A^T y, shape (B, *shape), of a linear operator; by default its derivative."""
        origin = torch.zeros(len(y), *shape, dtype=y.dtype, device=y.device)
        return pulled_back(self.forward, origin, y)

    def seen(self, shape: Shape) -> Tensor | None:
        """Return which numbers of y say something, a boolean (*out); None for all of them."""
        del shape
        return None

    def __call__(self, x: Tensor) -> Tensor:
        """Return A x, as `forward`."""
        return self.forward(x)


def pulled_back(function: Callable[[Tensor], Tensor], x: Tensor, v: Tensor) -> Tensor:
    """Return v^T times the Jacobian of a function at x, shape of x, also in inference mode."""
    with torch.inference_mode(False), torch.enable_grad():
        at = x.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(function(at), at, v.clone())
    return found


Along = Callable[[Tensor], Tensor]


def linearised(function: Along, x: Tensor) -> tuple[Tensor, Along, Along]:
    """Return function(x), and v -> J v and v -> v^T J with its Jacobian J there.

    The first is the derivative of the second, which is linear in v: twice backwards.
    """
    with torch.inference_mode(False), torch.enable_grad():
        at = x.detach().clone().requires_grad_()
        out = function(at)
        weight = torch.zeros_like(out, requires_grad=True)
        (pulled,) = torch.autograd.grad(out, at, weight, create_graph=True)

    def along(end: Tensor, start: Tensor, v: Tensor) -> Tensor:
        with torch.inference_mode(False):
            return torch.autograd.grad(end, start, v.clone(), retain_graph=True)[0]

    return out.detach(), partial(along, pulled, weight), partial(along, out, at)


class Noise:
    """n ~ N(0, S): W with W S W^T = I, and what it does to a residual.

    Args:
        std: standard deviations, () or (*out), or the lower triangular L of S = L L^T, (m, m).
            0 for no noise: then W = 1.
        full: whether it is L.

    Attributes:
        variance: 1, or 0 for no noise: of n after W.
    """

    def __init__(self, std: Tensor, *, full: bool = False) -> None:
        self._full = full
        self.variance = 1.0 if bool(std.any()) else 0.0
        self._std = std if self.variance else torch.ones_like(std)

    def whiten(self, v: Tensor) -> Tensor:
        """Return W v, shape of v (B, *out)."""
        return self._apply(v, transposed=False)

    def pull(self, v: Tensor) -> Tensor:
        """Return W^T v, shape of v (B, *out)."""
        return self._apply(v, transposed=True)

    def _apply(self, v: Tensor, *, transposed: bool) -> Tensor:
        std = self._std.to(v)
        if not self._full:
            return v / std
        factor = std.T if transposed else std
        solved: Tensor = torch.linalg.solve_triangular(factor, v.flatten(1).T, upper=transposed)
        return solved.T.reshape(v.shape)


@dataclass(frozen=True)
class Near:
    """An observation near some x_0 = d, where it is linear: y = A x_0 + n, n ~ N(0, I).

    Attributes:
        residual: y - A d, shape (B, *out).
        push: A v, from (B, *shape) to (B, *out).
        pull: A^T v, from (B, *out) to (B, *shape).
    """

    residual: Tensor
    push: Callable[[Tensor], Tensor]
    pull: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Observation:
    """y = A x_0 + n of every sample of a batch, in the units of the network, divided by its noise.

    So n ~ N(0, I) whatever the noise was, or n = 0 where `noise.variance` is 0, and A is an
    operator on what the network denoises, whatever the data's mean and scale.

    Attributes:
        y: observed values, (R, *out): of the samples of the batch, or (at first) of all.
        operator: in data units.
        noise: of y.
        shape: of one sample.
        mean, scale: data are mean + scale z, of what the network denoises; None for z itself.
        rows: which of all y those of the batch are, (B,).
    """

    y: Tensor
    operator: Operator
    noise: Noise
    shape: Shape
    mean: Tensor | None = None
    scale: Tensor | None = None
    rows: Tensor | None = None

    def of(self, rows: Tensor, like: Tensor) -> Observation:
        """Return what is observed of some rows (B,), with the dtype and device of `like`."""
        return replace(self, y=self.y[rows.to(self.y.device)].to(like), rows=rows)

    def predict(self, z: Tensor) -> Tensor:
        """Return A z, shape (B, *out), of z as the network denoises it."""
        x = z if self.scale is None else z * self.scale.to(z)
        if self.mean is not None and not self.operator.linear:
            x = x + self.mean.to(z)  # of a linear operator it has been taken off y
        return self.noise.whiten(self.operator.forward(x))

    def near(self, d: Tensor) -> Near:
        """Return the observation near x_0 = d, shape (B, *shape); y is that of the batch."""
        if self.operator.linear:
            return Near(self.y - self.predict(d), self.predict, self._adjoint)
        out, push, pull = linearised(self.predict, d)
        return Near(self.y - out, push, pull)

    def _adjoint(self, v: Tensor) -> Tensor:
        pulled = self.operator.adjoint(self.noise.pull(v), self.shape)
        return pulled if self.scale is None else pulled * self.scale.to(v)

    def log_likelihood(self, z: Tensor) -> Tensor:
        """Return log p(y | x_0) up to a constant of every y, for points z (N, *shape): (R, N)."""
        # In float64, as y is: of data far from 0 float32 has none of the digits that matter.
        try:
            there = self.predict(z.double())
        except Exception:  # the operator has numbers of another dtype
            there = self.predict(z)
        there = there.flatten(1).double()
        y = self.y.to(there).flatten(1)
        squares: Tensor = torch.cdist(y, there, compute_mode="donot_use_mm_for_euclid_dist")
        return -squares.square() / 2

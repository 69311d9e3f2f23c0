"""The divergence of a flow's field, and the ODE of the state together with its integral."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NoReturn

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Flow
from zoo.sampling.rng import GROUP, by_group

# (x, t) -> what the caller wants to know, and the field dx/dt, both (B, *).
Evaluate = Callable[[Tensor, Tensor | float], tuple[Tensor, Tensor]]


class Divergence:
    """The divergence of the field, exact or along random directions.

    Args:
        flow: the ODE of x.
        shape: of one sample.
        signs: e_k of Hutchinson's estimates, (samples, columns, d); None for the exact
            divergence, one column.
        rows: so many samples cost as much as one: a few samples are evaluated in as many copies,
            each for other directions.
    """

    def __init__(
        self, flow: Flow, shape: tuple[int, ...], signs: Tensor | None, rows: int = 1
    ) -> None:
        self._flow, self._shape, self._signs, self._rows = flow, shape, signs, rows
        self.columns = 1 if signs is None else signs.shape[1]

    def __call__(
        self, x: Tensor, t: Tensor | float, who: Tensor | None, evaluate: Evaluate | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return what `evaluate` gives at states x (B, *), and the divergence there, (B, columns).

        Args:
            x: states (B, *shape), or flat.
            t: their time, () or (B,).
            who: which of the samples they are, (B,); None for all.
            evaluate: evaluates the flow once; None for the field.
        """
        evaluate = evaluate or self._field
        n = len(x)
        who = torch.arange(n, device=x.device) if who is None else who
        point = x.detach().flatten(1)
        along = self._directions(who, point)
        passes = -(-len(along) // max(1, self._rows // n))
        copies = -(-len(along) // passes)
        self._flow.rows = who.repeat(copies)
        at = t.repeat(copies) if isinstance(t, Tensor) and t.ndim else t
        with torch.enable_grad():
            points = point.repeat(copies, 1).requires_grad_()
            found, field = evaluate(points.reshape(-1, *self._shape), at)
            slope = field.flatten(1)
            curved = [
                self._curvature(slope, points, along[k : k + copies])
                for k in range(0, len(along), copies)
            ]
        curvature = torch.cat(curved)  # (directions, B)
        total = curvature.sum(dim=0)[:, None] if self._signs is None else curvature.T
        return found[:n].detach(), total

    def _field(self, x: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor]:
        field = self._flow.field(x, t)
        return field, field

    def _directions(self, who: Tensor, like: Tensor) -> Tensor:
        """Return the directions e in which e . (df/dx) e is asked for, (directions, B, d)."""
        if self._signs is None:
            units = torch.eye(like.shape[1], dtype=like.dtype, device=like.device)
            return units[:, None].expand(-1, *like.shape)
        return self._signs[who].to(like).transpose(0, 1)

    def _curvature(self, slope: Tensor, points: Tensor, e: Tensor) -> Tensor:
        """Return e . (df/dx) e, (K, B), for directions (K, B, d); no more than there are copies."""
        if not slope.requires_grad:
            return e.new_zeros(e.shape[:2])
        v = e.reshape(-1, e.shape[2])
        none = v.new_zeros(len(slope) - len(v), v.shape[1])
        asked = torch.cat([v, none]).to(slope)
        (product,) = torch.autograd.grad(slope, points, asked, retain_graph=True)
        return (product[: len(v)] * v).sum(dim=1).reshape(e.shape[:2])


class AugmentedKernel(FieldKernel):
    """The times and levels of the kernel, which is all that a solver may ask of a larger state."""

    affine = False

    def __init__(self, kernel: FieldKernel) -> None:
        super().__init__(dim=kernel.dim, t_min=kernel.t_min, t_max=kernel.t_max)
        self._kernel = kernel

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return the kernel's own (alpha, sigma), shaped like t."""
        return self._kernel.marginal(t)

    def time_at(self, level: Tensor | float) -> Tensor:
        """Return the kernel's own time of a noise level."""
        return self._kernel.time_at(level)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise ZooError(
            "this solver asks for more than times and levels of the kernel, which is all that the "
            "state of a likelihood has; take one that steps by the field alone, such as dopri5"
        )

    log_density = velocity = sample = _refuse
    _log_density = _velocity = _sample = _refuse


class FlowWithDivergence(Flow):
    """The ODE of (x, integrals of div f), flat: (B, d + columns), for any solver and error control.

    Args:
        flow: the ODE of x.
        shape: of one sample.
        divergence: of that flow.
    """

    def __init__(self, flow: Flow, shape: tuple[int, ...], divergence: Divergence) -> None:
        kernel = AugmentedKernel(flow.kernel)
        super().__init__(kernel, flow.predict, "field", sigma_data=flow.sigma_data)
        self._flow, self._shape, self._divergence = flow, shape, divergence

    def pack(self, x: Tensor) -> Tensor:
        """Return the state that starts at x, shape (B, *shape)."""
        return torch.cat([x.flatten(1), x.new_zeros(len(x), self._divergence.columns)], dim=1)

    def unpack(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return x, shape (B, *shape), and the integrals, (B, columns)."""
        d = math.prod(self._shape)
        return state[:, :d].reshape(-1, *self._shape), state[:, d:]

    def field(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return the time derivative of the state x, shape (B, d + columns)."""
        self._flow.guard = self.guard
        slope, divergence = self._divergence(self.unpack(x)[0], t, self.rows)
        self.nfe = self._flow.nfe
        return torch.cat([slope.flatten(1), divergence], dim=1)

    def denoise(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Refuse: a solver has no business with it, since the kernel is not affine."""
        del x, t
        raise ZooError("this solver asks for a denoiser where the kernel is not affine")


def random_signs(n: int, probes: int, dim: int, seed: int) -> Tensor:
    """Return random signs (n, probes, dim), int8."""
    return by_group(
        0,
        n,
        seed,
        lambda g: (
            torch.randint(2, (GROUP, probes, dim), generator=g, dtype=torch.int8).mul_(2).sub_(1)
        ),
    )

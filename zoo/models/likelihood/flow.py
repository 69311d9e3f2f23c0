"""The ODE of a state together with the integral of its divergence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NoReturn

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Flow
from zoo.sampling.rng import GROUP, by_group

# v -> v . (df/dx), both (B, d)
Product = Callable[[Tensor], Tensor]


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
    """The ODE of (x, integrals of div f), flat: (B, d + columns).

    Args:
        flow: the ODE of x.
        shape: of one sample.
        signs: e_k of Hutchinson's estimates, (samples, columns, d); None for the exact
            divergence, one column.
    """

    def __init__(self, flow: Flow, shape: tuple[int, ...], signs: Tensor | None) -> None:
        kernel = AugmentedKernel(flow.kernel)
        super().__init__(kernel, flow.predict, "field", sigma_data=flow.sigma_data)
        self._flow, self._shape, self._signs = flow, shape, signs

    def pack(self, x: Tensor) -> Tensor:
        """Return the state that starts at x, shape (B, *shape)."""
        columns = 1 if self._signs is None else self._signs.shape[1]
        return torch.cat([x.flatten(1), x.new_zeros(len(x), columns)], dim=1)

    def unpack(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return x, shape (B, *shape), and the integrals, (B, columns)."""
        d = math.prod(self._shape)
        return state[:, :d].reshape(-1, *self._shape), state[:, d:]

    def field(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return the time derivative of the state x, shape (B, d + columns)."""
        flow = self._flow
        flow.guard, flow.rows = self.guard, self.rows
        rows = torch.arange(len(x), device=x.device) if self.rows is None else self.rows
        with torch.enable_grad():
            point = self.unpack(x)[0].detach().flatten(1).requires_grad_()
            slope = flow.field(point.reshape(-1, *self._shape), t).flatten(1)
            self.nfe = flow.nfe

            def product_with(v: Tensor) -> Tensor:
                if not slope.requires_grad:
                    return torch.zeros_like(point)
                (product,) = torch.autograd.grad(slope, point, v, retain_graph=True)
                return product

            divergence = self._divergence(product_with, point, rows)
        return torch.cat([slope.detach(), divergence.detach()], dim=1)

    def _divergence(self, product: Product, like: Tensor, rows: Tensor) -> Tensor:
        """Return the trace sum_i e_i . J e_i, (B, 1), or each e_k . J e_k, (B, columns)."""
        if self._signs is None:
            units = torch.eye(like.shape[1], dtype=like.dtype, device=like.device)
            diagonal = (product(unit.expand_as(like))[:, i] for i, unit in enumerate(units))
            return torch.stack([*diagonal], dim=1).sum(dim=1, keepdim=True)
        signs = self._signs[rows].to(like)
        return torch.stack([(product(s) * s).sum(dim=1) for s in signs.unbind(1)], dim=1)

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

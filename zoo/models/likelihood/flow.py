"""The ODE of a state together with the integral of its divergence."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NoReturn

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Flow
from zoo.sampling.rng import GROUP, by_group

# v -> v . (df/dx), both (B, d)
Product = Callable[[Tensor], Tensor]


class Trace(ABC):
    """The divergence of a field from products of its Jacobian with vectors."""

    columns: int

    @abstractmethod
    def __call__(self, product: Product, like: Tensor, rows: Tensor) -> Tensor:
        """Return estimates of the trace, (B, columns).

        Args:
            product: product(v) is v . (df/dx), for v and results like `like`.
            like: (B, d).
            rows: numbers of the samples, (B,).
        """


class ExactTrace(Trace):
    """sum_i e_i . J e_i over the coordinate axes: one backward pass each."""

    columns = 1

    def __call__(self, product: Product, like: Tensor, rows: Tensor) -> Tensor:
        """Return the trace, (B, 1)."""
        del rows
        units = torch.eye(like.shape[1], dtype=like.dtype, device=like.device)
        diagonal = (product(unit.expand_as(like))[:, i] for i, unit in enumerate(units))
        return torch.stack([*diagonal], dim=1).sum(dim=1, keepdim=True)


class HutchinsonTrace(Trace):
    """e_k . J e_k for random signs e_k: each k an unbiased estimate.

    Args:
        signs: (samples, probes, d).
    """

    def __init__(self, signs: Tensor) -> None:
        self.signs, self.columns = signs, signs.shape[1]

    def __call__(self, product: Product, like: Tensor, rows: Tensor) -> Tensor:
        """Return one estimate per probe, (B, probes)."""
        signs = self.signs[rows].to(like)
        return torch.stack([(product(s) * s).sum(dim=1) for s in signs.unbind(1)], dim=1)


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
        """Refuse what the class does not offer.

        Raises:
            ZooError: always.
        """
        raise ZooError(
            "this solver asks for more than times and levels of the kernel, which is all that the "
            "state of a likelihood has; take one that steps by the field alone, such as dopri5"
        )

    log_density = velocity = sample = _refuse
    _log_density = _velocity = _sample = _refuse


class FlowWithDivergence(Flow):
    """The ODE of (x, integrals of div f), flat: (B, d + columns)."""

    def __init__(self, flow: Flow, shape: tuple[int, ...], trace: Trace) -> None:
        kernel = AugmentedKernel(flow.kernel)
        super().__init__(kernel, flow.predict, "field", sigma_data=flow.sigma_data)
        self._flow, self._shape, self._trace = flow, shape, trace

    def pack(self, x: Tensor) -> Tensor:
        """Return the state that starts at x, shape (B, *shape)."""
        return torch.cat([x.flatten(1), x.new_zeros(len(x), self._trace.columns)], dim=1)

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

            divergence = self._trace(product_with, point, rows)
        return torch.cat([slope.detach(), divergence.detach()], dim=1)

    def denoise(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Refuse: a solver has no business with it, since the kernel is not affine."""
        del x, t
        raise ZooError("this solver asks for a denoiser where the kernel is not affine")

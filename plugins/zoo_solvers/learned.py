"""A solver whose grid and weights are learned for one model and one number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import (
    FEW_STEPS,
    FieldKernel,
    Flow,
    check_integer,
    check_real,
)
from zoo_solvers.adams import ExpABM3
from zoo_solvers.free_levels import FreeLevels
from zoo_solvers.linear import exponential_part, level_ratio, marginal, scale_of
from zoo_solvers.multistep import Step, Weights, steps_along
from zoo_solvers.own_steps import OwnSteps

LARGEST = 100.0
_HISTORY = 4  # values that a step weights
_LEVELS = (1e-12, 1e12)


class Learned(OwnSteps, ExpABM3):
    """`exp-abm3` on N levels, its weights moved by coefficients; N evaluations make a sample.

    With D_i the denoiser at node i, decay_i and base weights b_ij of `exp-abm3`,

        x_{i+1} = decay_i x_i + sum_j (b_ij + (sum_k b_ik) c_ij) D_{i-j},   sum_j c_ij = 0

    so the step stays consistent whatever the c_ij. The last step is to data: D at the last node,
    which may lie above t_min and is then extrapolated linearly, with coefficients of its own.
    Source: the idea of learning both by gradient through the walk, arXiv:2405.15506, 2502.17423.

    Args:
        grid: 1 to 64 decreasing noise levels; as many evaluations make a sample.
        coefficients: c_ij for j = 1, 2, ... (c_i0 is what is missing to 0) of every step i, at most
            min(i, 3) numbers from -100 to 100 each; by default none, which is `exp-abm3`.
        scale: standard deviation of the data, in data units; by default the model's sigma_data.

    Raises:
        ZooError: other options; integrating, another number of steps or another interval.
    """

    name = "learned"
    grid: FreeLevels

    def __init__(
        self,
        *,
        grid: Sequence[float],
        coefficients: Sequence[Sequence[float]] = (),
        scale: float | None = None,
    ) -> None:
        levels = _numbers("grid", grid, _LEVELS)
        self.own_steps = check_integer("number of grid levels", len(levels), 1, FEW_STEPS)
        super().__init__(scale=scale)
        self.grid = FreeLevels(levels)
        self.coefficients = torch.zeros(self.own_steps, _HISTORY - 1, dtype=torch.float64)
        if not isinstance(coefficients, Sequence) or len(coefficients) not in (0, self.own_steps):
            count = len(coefficients) if isinstance(coefficients, Sequence) else "no list"
            raise ZooError(f"coefficients: {count} rows; expected {self.own_steps}, one per level")
        for i, row in enumerate(coefficients):
            name, most = f"coefficients[{i}]", min(i, _HISTORY - 1)
            values = _numbers(name, row, (-LARGEST, LARGEST))
            if len(values) > most:
                raise ZooError(f"{name} has {len(values)} numbers; expected at most {most}")
            self.coefficients[i, : len(values)] = torch.tensor(values, dtype=torch.float64)

    def learnable(self) -> dict[str, Tensor]:
        """Return what may be learned, by name: logarithms of the levels, and c_ij, (N, 3)."""
        return {"grid": self.grid.logs, "coefficients": self.coefficients}

    def learn(self, *, grid: Tensor, coefficients: Tensor) -> None:
        """Put tensors, which may require grad, in the place of those of `learnable`."""
        self.grid.logs, self.coefficients = grid, coefficients
        self._kept = self._last = None

    def steps(self, flow: Flow, x: Tensor, value: Tensor, times: list[float]) -> list[Step]:
        """Return the steps along the nodes and to data, differentiable where they are learned."""
        if not any(v.requires_grad for v in self.learnable().values()):
            return super().steps(flow, x, value, times)
        typical = self.typical(flow, times[0])
        ratio = torch.ones(len(x), dtype=torch.float64, device=x.device)
        if typical is not None:
            ratio = level_ratio(typical, x, value).nan_to_num(1.0)
        own = self.grid.times(flow.kernel, times[0], times[-1], self.own_steps, ratio)
        weights = self.weights(flow, own, ratio)
        return steps_along(flow.prepare_times(own), weights, x, value)

    def weights(self, flow: Flow, times: Tensor, ratio: Tensor | None) -> Weights:
        """Return the weights of the steps between nodes, and those of the step to data."""
        alpha, sigma = marginal(flow.kernel, times[:-1])
        own = sigma if ratio is None else sigma * ratio
        scale = scale_of(flow, self._scale)
        part = exponential_part(alpha, own, scale)
        base = self.value_weights(part)
        last = self._to_data(alpha, own, scale, flow.kernel)
        base = torch.cat(
            [torch.cat([base, torch.zeros_like(base[:, :1])], dim=1), last[None]], dim=0
        )
        moved = torch.cat([-self.coefficients.sum(dim=1, keepdim=True), self.coefficients], dim=1)
        moved = moved.to(base).reshape(*moved.shape, *(1,) * (base.ndim - 2))
        decay = torch.cat([part.decay, torch.zeros_like(sigma[:1])])
        return Weights(decay[:, None], base + base.sum(dim=1, keepdim=True) * moved)

    def _to_data(self, alpha: Tensor, sigma: Tensor, scale: float, kernel: FieldKernel) -> Tensor:
        """Return the weights of the last values in D at level 0, (4, ...)."""
        zero = torch.zeros_like(sigma[0])
        more = zero
        if len(sigma) > 1 and self.grid.ends_early(kernel):
            # The place of `exponential_part` at the last two nodes; 0 at level 0.
            before, here = (-2 * (scale * alpha / sigma)[-2:].asinh()).sigmoid()
            more = here / (before - here)
        return torch.stack([1 + more, -more, zero, zero])


def _numbers(name: str, given: Any, span: tuple[float, float]) -> list[float]:
    """Return a list of numbers within a span; ZooError if it is none, or too long."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ZooError(f"{name} is no list; expected numbers")
    if len(given) > FEW_STEPS:
        raise ZooError(f"{name} has {len(given)} numbers; expected at most {FEW_STEPS}")
    values = [check_real(f"a number of {name}", value) for value in given]
    for value in values:
        if not span[0] <= value <= span[1]:
            raise ZooError(
                f"{name} has {value:g}; expected numbers from {span[0]:g} to {span[1]:g}"
            )
    return values

"""Evaluations of the network: how many a setting costs, and which setting costs so many."""

from __future__ import annotations

from bisect import bisect_right

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Flow, Solver
from zoo.models.model import FieldModel
from zoo.sampling.rng import GROUP, starting_points


def evaluations(model: FieldModel, solver: Solver, steps: int) -> int:
    """Return the evaluations (NFE) that one group of 16 samples takes, the last step included.

    For a solver that chooses its own steps it is the number for the slowest of the group.
    """
    with torch.inference_mode():
        x = starting_points(model.prior, model.shape, 0, 0, GROUP).to(model.device)
        return _count(model.flow(), solver, x, steps)


def steps_for(kernel: FieldKernel, solver: Solver, budget: int) -> int:
    """Return the largest number of steps of `solver` that takes at most `budget` evaluations.

    More steps take more evaluations, or as many, so it is found by halving.

    Raises:
        ZooError: the solver chooses its own steps, or one step is too much.
    """
    best = bisect_right(range(1, budget + 1), budget, key=lambda n: _free(kernel, solver, n))
    if best < 2 <= budget:
        name = solver.part.use if solver.part else type(solver).__name__
        raise ZooError(
            f"{name} cannot keep to {budget} evaluations: it needs more, or chooses its own steps"
        )
    return best


def _free(kernel: FieldKernel, solver: Solver, steps: int) -> int:
    """Return the evaluations along a field that costs nothing."""

    def zero(x: Tensor, *_: Tensor) -> Tensor:
        return torch.zeros_like(x)

    x = torch.full((1, kernel.dim), kernel.t_max / kernel.dim**0.5, dtype=torch.float64)
    return _count(Flow(kernel, zero), solver, x, steps)


def _count(flow: Flow, solver: Solver, x: Tensor, steps: int) -> int:
    kernel = flow.kernel
    if steps > 1:
        solver.integrate(flow, x, kernel.t_max, kernel.t_min, steps=steps - 1)
    return flow.nfe + 1

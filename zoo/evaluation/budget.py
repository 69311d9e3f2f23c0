"""Evaluations of the network: how many a setting costs, and which setting costs so many."""

from __future__ import annotations

from bisect import bisect_right

from zoo.errors import ZooError
from zoo.interfaces import Solver
from zoo.models.model import FieldModel
from zoo.sampling.rng import GROUP


def evaluations(model: FieldModel, solver: Solver, steps: int) -> int:
    """Return the evaluations (NFE) that one group of 16 samples takes, the last step included.

    For a solver that chooses its own steps it is the number for the slowest of the group.
    """
    return model.trajectory(GROUP, steps=steps, solver=solver, seed=0, keep=False).nfe


def steps_for(solver: Solver, budget: int) -> int:
    """Return the largest number of steps of `solver` that takes at most `budget` evaluations.

    The last step, to t = 0, takes one. More steps take more evaluations, or as many, so it is found
    by halving.

    Raises:
        ZooError: the solver chooses its own steps, or one step is too much.
    """
    name = solver.part.use if solver.part else type(solver).__name__
    try:
        best = bisect_right(
            range(1, budget + 1),
            budget,
            key=lambda n: solver.evaluations(n - 1) + 1 if n > 1 else 1,
        )
    except ZooError as error:
        raise ZooError(f"{name} cannot keep to {budget} evaluations: {error}") from error
    if best < 2 <= budget:
        raise ZooError(f"{name} cannot keep to {budget} evaluations: one step needs more")
    return best

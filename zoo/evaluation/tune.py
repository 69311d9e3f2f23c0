"""A time grid made for one model: found offline, by its own trajectories.

A grid of N levels s_0 > ... > s_{N-1} is bent by a few numbers theta_k,

    log s_{i-1} - log s_i  ->  (the same) exp(sum_k theta_k cos(pi k (i - 1/2) / (N - 1))) / Z

with Z such that the ends stay, so that levels always decrease. Nelder and Mead's simplex looks for
the theta of the least error: the root mean square, per coordinate, between a sample as the solver
draws it and as an accurate one does, both as the network knows them (z of a standardised model, so
that no column's unit outweighs the others); over samples the geometric mean, since the few that
become another image altogether, whose errors are a hundred times those of the others, would drown
them. Held-out samples measure the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from torch import Tensor

from zoo.config.part import Part, SolverPart
from zoo.errors import ZooError, check_flag
from zoo.folder.card_edit import rewrite_facts
from zoo.folder.results import without_solver
from zoo.folder.weights import count_parameters
from zoo.host.build import solver as build_solver
from zoo.interfaces import Solver
from zoo.interfaces.checks import check_integer
from zoo.models.model import FieldModel
from zoo.models.parts import check_model
from zoo.models.trajectory import TOLERANCE, accurate_solver
from zoo.sampling.arguments import classes_in_turn, step_count
from zoo.sampling.few_steps import levels_of
from zoo.sampling.progress import bar

# Errors below this are those of the trajectories that count as converged.
_CONVERGED = TOLERANCE
# How many numbers bend a grid, and how far the first guesses go.
_BENDS, _FIRST_BEND = 5, 0.4


@dataclass(frozen=True)
class Tuned:
    """A solver with a grid of its own.

    Attributes:
        solver: with that grid.
        steps: that the grid was made for, as `sample` counts them.
        levels: of the grid, decreasing, `steps` of them, in data units.
        before: error of the solver's grid as it was, on held-out samples, as the network
            knows them.
        after: error of the new grid, on the same.
    """

    solver: Solver
    steps: int
    levels: tuple[float, ...]
    before: float
    after: float


class _Samples:
    """Samples of a model with one seed: n to fit the grid, and n held-out ones."""

    def __init__(self, model: FieldModel, n: int, seed: int) -> None:
        self._model, self._n, self._seed = model.latents, n, seed
        self._labels = classes_in_turn(model.network.labels, 2 * n)
        self._ends = self._draw(accurate_solver(model.dtype), 18, 2 * n)

    def _draw(self, solver: Solver, steps: int, n: int) -> Tensor:
        labels = None if self._labels is None else self._labels[:n]
        x = self._model.sample(n, solver=solver, steps=steps, seed=self._seed, labels=labels)
        return self._model._to_parts(x)

    def error(self, solver: Solver, steps: int, *, held_out: bool = False) -> float:
        """Return the error on the samples for the fit, or on the held-out ones."""
        part = slice(self._n, 2 * self._n) if held_out else slice(self._n)
        got = self._draw(solver, steps, part.stop)
        errors = (got[part] - self._ends[part]).flatten(1).double().square().mean(dim=1).sqrt()
        return float((errors + _CONVERGED).log().mean().exp()) - _CONVERGED


def optimise_grid(
    model: FieldModel,
    *,
    solver: Part | str | None = None,
    steps: int | None = None,
    n: int = 64,
    seed: int = 0,
    rounds: int = 150,
    progress: bool = False,
) -> Tuned:
    """Return a solver whose grid suits the model at one number of steps.

    Costs about `rounds` times n samples of so many steps, without training.

    Args:
        model: the model; it is left as it is, see `adopt`.
        solver: name, or name and options, of a solver that takes a grid; the model's own if None.
        steps: as for `sample`, at least 3; the model's default if None.
        n: number of samples for the fit, and of held-out samples.
        seed: of the samples.
        rounds: grids to try at most.
        progress: show a progress bar.

    Raises:
        ZooError: a solver without a name or without a grid, too few steps, n or rounds; a model
            that draws samples given conditions.
    """
    check_model(model)
    model.needs_field("be tuned")
    check_flag("progress", progress)
    if model.condition is not None:
        raise ZooError(
            f"a grid is tuned for a model without conditions; this one draws samples given "
            f"{model.condition}: compare solvers and steps instead, by zoo eval NAME --solvers "
            "heun,exp-abm3 --nfe 9,18,35"
        )
    part = solver if isinstance(solver, Part) else _part(model, solver)
    steps = step_count(steps, model.steps, 3)
    n, rounds = check_integer("n", n, 1), check_integer("rounds", rounds, 1)
    plain = build_solver(part.use, **part.options)
    levels = np.array(levels_of(model.kernel, plain, steps))
    samples = _Samples(model, n, seed)

    def with_grid(bent: np.ndarray) -> Solver:
        return build_solver(part.use, **{**part.options, "grid": bent.tolist()})

    with bar(total=rounds, unit="grid", shown=progress) as shown:

        def objective(theta: np.ndarray) -> float:
            shown.update()
            try:
                return samples.error(with_grid(bend(levels, theta)), steps)
            except ZooError:  # the solver is lost on this grid
                return math.inf

        best = bend(levels, _search(objective, rounds))
    tuned = with_grid(best)
    errors = (samples.error(solver, steps, held_out=True) for solver in (plain, tuned))
    return Tuned(tuned, steps, tuple(best.tolist()), *errors)


def _part(model: FieldModel, solver: str | None) -> Part:
    """Return name and options of a solver without options, of the model's own for None."""
    named = (model.solver if solver is None else build_solver(solver)).part
    if named is None:
        raise ZooError("the model's solver has no name; give solver = the name of one")
    return named


def bend(levels: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return levels bent by theta, between the same ends, strictly decreasing."""
    gaps = -np.diff(np.log(levels))
    middle = (np.arange(len(gaps)) + 0.5) / len(gaps)
    waves = np.cos(np.pi * np.arange(1, len(theta) + 1)[:, None] * middle)
    bent = gaps * np.exp(np.clip(theta @ waves, -5, 5))
    path = np.concatenate([[0.0], np.cumsum(bent)]) * (gaps.sum() / bent.sum())
    bent_levels: np.ndarray = np.exp(np.log(levels[0]) - path)
    return bent_levels


def _search(objective: Callable[[np.ndarray], float], rounds: int) -> np.ndarray:
    from scipy.optimize import minimize

    simplex = np.concatenate([np.zeros((1, _BENDS)), _FIRST_BEND * np.eye(_BENDS)])
    found = minimize(
        objective,
        np.zeros(_BENDS),
        method="Nelder-Mead",
        options={"maxfev": rounds, "initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-9},
    )
    return np.asarray(found.x)


def adopt(model: FieldModel, tuned: Tuned) -> None:
    """Make a tuned solver and its steps the model's own, in its config.json and its card too.

    Evaluations of what the old solver drew are forgotten: the same name now draws other samples.
    """
    part = tuned.solver.part
    assert part is not None
    model.solver = tuned.solver
    config = model.config or model.describe()
    model.config = msgspec.structs.replace(
        config,
        solver=SolverPart.of(part, tuned.steps),
        training=without_solver(config.training, part.use),
    )
    if model.card:
        model.card = rewrite_facts(model.card, model.config, count_parameters(model.network))

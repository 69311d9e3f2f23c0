"""Walks of a solver that is learned, against those of an accurate one from the same starts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import Solver
from zoo.models.model import FieldModel
from zoo.models.trajectory import accurate_solver
from zoo.sampling.arguments import Numbers, classes_in_turn
from zoo.sampling.rng import starting_points

LEARNED, CHOSEN_ON, REPORTED = range(3)
# c of the loss, see `zoo.evaluation.learn`.
HUBER = 0.01
# Samples of a gradient; a set of starts has twice as many. Rows cost little and need many.
IMAGES, ROWS = 32, 512


class Walks:
    """Starts of a model, three sets of n, and where an accurate solver takes them."""

    def __init__(
        self,
        model: FieldModel,
        n: int,
        seed: int,
        guidance: float | None,
        labels: Numbers | None,
        condition: Numbers | None,
    ) -> None:
        self.model, self.n, count = model, n, 3 * n
        self.batch = batch_of(model)
        known = None if model.config is None else model.config.guidance
        self._guidance = model._guidance(guidance, None, None, known)
        if labels is None:
            labels = classes_in_turn(model.network.labels, count)
        self._given = model._given(labels, condition, self._guidance, count).of(count)
        ends = model.sample(
            count,
            solver=accurate_solver(model.dtype),
            steps=18,
            seed=seed,
            labels=labels,
            condition=condition,
            guidance=guidance,
        )
        self._ends = model._to_parts(ends.double())
        self._starts = starting_points(model.prior, model.shape, seed, 0, count)

    def loss(self, solver: Solver, first: int, last: int) -> Tensor:
        """Return the mean loss of samples first..last-1."""
        model, steps = self.model, solver.own_steps
        assert steps is not None
        x = self._starts[first:last].to(model.device)
        given = self._given.part(first, last, model.device)
        flow, state = model._start(x, given, self._guidance, lambda _: torch.zeros_like(x), first)
        end = model._samples_in(solver.to_data(flow, state, steps=steps).double())
        if model.range is not None:
            end = model._to_parts(model._to_data(end).clamp(*model.range))
        error = (end.cpu() - self._ends[first:last]).flatten(1).square().mean(dim=1)
        return ((error + HUBER**2).sqrt() - HUBER).mean()

    @torch.no_grad()
    def mean(self, solver: Solver, which: int = LEARNED) -> float:
        """Return the loss over one of the three sets of starts; inf where lost."""
        low, total = which * self.n, 0.0
        try:
            for a in range(low, low + self.n, self.batch):
                b = min(a + self.batch, low + self.n)
                total += float(self.loss(solver, a, b)) * (b - a)
        except ZooError:
            return math.inf
        return total / self.n if math.isfinite(total) else math.inf


def batch_of(model: FieldModel) -> int:
    """Return how many samples a gradient is of."""
    return IMAGES if len(model.shape) > 1 else ROWS

"""Walks of a solver that is learned, against those of an accurate one from the same starts."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.host.build import solver as build_solver
from zoo.interfaces import Solver
from zoo.models.model import FieldModel
from zoo.numerics.huber import pseudo_huber
from zoo.sampling.arguments import Numbers, classes_in_turn
from zoo.sampling.few_steps import gradient_batch
from zoo.sampling.predict import unwrapped
from zoo.sampling.rng import starting_points

LEARNED, CHOSEN_ON, REPORTED = range(3)
# Times the number of steps: what the teacher errs by.
_TEACHER = 0.01


class Walks:
    """Starts of a model, three sets of n, and where an accurate solver takes them.

    Of so many as an accurate solver is done with `until` a time, a third each.
    """

    def __init__(
        self,
        model: FieldModel,
        n: int,
        steps: int,
        *,
        seed: int,
        guidance: float | None = None,
        labels: Numbers | None = None,
        condition: Numbers | None = None,
        until: float = math.inf,
    ) -> None:
        model = model.latents
        count, self.batch = 3 * n, gradient_batch(model.shape, steps)
        self.model, self.steps = model, steps
        self._guidance = model._guidance(guidance, None, None, model.guidance)
        if labels is None:
            labels = classes_in_turn(unwrapped(model.network).labels, count)
        self._given = model._given(labels, condition, self._guidance, count).of(count)
        self._starts = starting_points(model.prior, model.shape, seed, 0, count)
        self._targets = self._accurate(count, until)
        self.n = len(self._targets) // 3

    @torch.no_grad()
    def _accurate(self, count: int, until: float) -> Tensor:
        teacher = build_solver("exp-adaptive", tol=_TEACHER / self.steps)
        ends: list[Tensor] = []
        for first in range(0, count, 3 * self.batch):
            ends.append(self._ends(teacher, first, min(first + 3 * self.batch, count)))
            if time.monotonic() > until:
                break
        return torch.cat(ends)

    def _ends(self, solver: Solver, first: int, last: int) -> Tensor:
        """Return samples first..last-1 as the network knows them, within the range of the data."""
        model = self.model
        x = self._starts[first:last].to(model.device)
        given = self._given.part(first, last, model.device)
        flow, state = model._start(x, given, self._guidance, lambda _: torch.zeros_like(x), first)
        end = model._samples_in(solver.to_data(flow, state, steps=self.steps).double())
        return model.in_range(end).cpu()

    def loss(self, solver: Solver, first: int, last: int) -> Tensor:
        """Return the mean loss of samples first..last-1."""
        off = self._ends(solver, first, last) - self._targets[first:last]
        return pseudo_huber(off).mean()

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

"""The teacher of a student: starts, and where its ODE takes them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.host.build import solver as build_solver
from zoo.models.model import FieldModel
from zoo.sampling.guidance import Guidance
from zoo.sampling.predict import unwrapped
from zoo.sampling.rng import DISTILLED, GROUP, by_group, seed_for, starting_points

# Its solver, and the least number of evaluations for each start.
_SOLVER, _LEAST = "exp-abm3", 18
# Numbers that a pool holds: half a gigabyte.
_NUMBERS = 2**27
# Labels that are hidden, where a network takes classes; their stream of random numbers.
_HIDDEN, _LABELS = 0.1, 1


class Taught(NamedTuple):
    """Where the teacher's ODE takes n starts.

    Attributes:
        x: starts, states at t_max, (n, *shape).
        data: the teacher's samples, as its network knows them, (n, *shape).
        labels: class numbers (n,), -1 for none; None where there are no classes.
    """

    x: Tensor
    data: Tensor
    labels: Tensor | None

    def rows(self, chosen: Tensor | slice) -> Taught:
        """Return some of them."""
        labels = None if self.labels is None else self.labels[chosen]
        return Taught(self.x[chosen], self.data[chosen], labels)


class Teacher:
    """A model, asked for samples by `exp-abm3`.

    It takes `model.steps` evaluations, at least 18, on the model's own grid where that is of
    `exp-abm3` too, whatever the model's solver is.

    Args:
        model: the teacher.
        guidance: of its samples.
        seed: of the starts.
        bf16: whether its network is asked under autocast by `draw(..., rough=True)`.

    Attributes:
        evaluations: of its network for each sample.
        drawn: samples so far.
    """

    def __init__(self, model: FieldModel, guidance: Guidance, seed: int, *, bf16: bool) -> None:
        self.model, self.guidance, self.bf16, self.drawn = model, guidance, bf16, 0
        self._seed = seed_for(seed, DISTILLED)
        own = model.solver.part
        options = own.options if own is not None and own.use == _SOLVER else {}
        self.solver = build_solver(_SOLVER, **options)
        self.evaluations = max(model.steps, _LEAST)

    @torch.no_grad()
    def draw(self, n: int, *, rough: bool = False) -> Taught:
        """Return the next n starts and samples; each depends on the seed and its number alone.

        Raises:
            ZooError: a state became non-finite.
        """
        model = self.model
        x = starting_points(model.prior, model.shape, self._seed, self.drawn, self.drawn + n)
        labels = self._labels(n)
        self.drawn += n
        x = x.to(model.device, torch.float32)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=rough and self.bf16):
            flow = model.flow(labels, self.guidance)
            data = self.solver.to_data(flow, x, steps=self.evaluations)
        return Taught(x, model.in_range(data.double()).float(), labels)

    def _labels(self, n: int) -> Tensor | None:
        classes = unwrapped(self.model.network).labels
        if not classes:
            return None

        def draw(generator: torch.Generator) -> Tensor:
            labels = torch.randint(int(classes), (GROUP,), generator=generator)
            return torch.where(torch.rand(GROUP, generator=generator) < _HIDDEN, -1, labels)

        labels = by_group(self.drawn, self.drawn + n, self._seed, draw, _LABELS)
        return labels.to(self.model.device)


class Pool:
    """Samples of a teacher to train on; new ones take the place of the oldest where it is full.

    Args:
        first: the first ones.
    """

    def __init__(self, first: Taught) -> None:
        self.size = max(len(first.x), _NUMBERS // (2 * first.x[0].numel()))
        self._kept = [first]
        self._count = len(first.x)

    def add(self, new: Taught) -> None:
        """Take in new ones, and let the oldest go."""
        self._kept.append(new)
        self._count += len(new.x)
        while self._count > self.size and len(self._kept) > 1:
            self._count -= len(self._kept.pop(0).x)

    def batch(self, n: int, generator: torch.Generator) -> Taught:
        """Return n of them at random, the same one more than once perhaps."""
        chosen = torch.randint(self._count, (n,), generator=generator)
        parts, first = [], 0
        for block in self._kept:
            own = chosen[(chosen >= first) & (chosen < first + len(block.x))] - first
            if len(own):
                parts.append(block.rows(own.to(block.x.device)))
            first += len(block.x)
        labels = [part.labels for part in parts if part.labels is not None]
        return Taught(
            torch.cat([part.x for part in parts]),
            torch.cat([part.data for part in parts]),
            torch.cat(labels) if labels else None,
        )

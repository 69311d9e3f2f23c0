"""Trajectories of a teacher: where its ODE goes from starts, at the nodes of a student's steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor

from zoo.host.build import solver as build_solver
from zoo.interfaces import LEVEL_CAP, FieldKernel, Flow, Grid, GridSolver, StepCallback
from zoo.interfaces.grids import FocusGrid
from zoo.models.model import FieldModel
from zoo.sampling.guidance import Guidance
from zoo.sampling.predict import unwrapped
from zoo.sampling.rng import DISTILLED, GROUP, by_group, seed_for, starting_points

# Steps of the teacher between two nodes, at least.
_LEAST = 2
# Numbers that a pool holds: half a gigabyte.
_NUMBERS = 2**27
# Labels that are hidden, where a network takes classes; their stream of random numbers.
_HIDDEN, _LABELS = 0.1, 1


class StudentSolver(Protocol):
    """What is asked of a student's solver, `flow-map`."""

    own_steps: int
    grid: Grid

    def to_data(
        self, flow: Flow, x: Tensor, *, steps: int, callback: StepCallback | None = None
    ) -> Tensor:
        """Return data from x at t_max, (B, *)."""

    def errors(self, flow: Flow, x: Tensor, nodes: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield what the network errs by at every node, (B, *), with its gradient."""


class Between(Grid):
    """The nodes of a student, and steps of a teacher between them; the last end is t_min.

    Args:
        nodes: the student's grid.
        counts: steps of the teacher after each node.
    """

    def __init__(self, nodes: Grid, counts: tuple[int, ...]) -> None:
        self.nodes, self.counts, self._scale = nodes, counts, FocusGrid()

    def _times(self, kernel: FieldKernel, ends: Tensor, steps: int, ratio: Tensor | None) -> Tensor:
        del steps
        t_from, t_to = ends.tolist()
        nodes = self.nodes.times(kernel, t_from, t_to, len(self.counts), ratio)
        own = torch.ones((), dtype=torch.float64) if ratio is None else ratio
        levels = kernel.level(nodes) * own
        cap = (2 * levels[1:2]).clamp(min=LEVEL_CAP)
        places = self._scale.forward(levels.minimum(cap))
        found = []
        for i, count in enumerate(self.counts):
            part = torch.arange(1, count, dtype=own.dtype, device=own.device) / count
            part = part.reshape(-1, *(1,) * own.ndim)
            inside = self._scale.back(torch.lerp(places[i], places[i + 1], part))
            found += [nodes[i : i + 1], kernel.time_at(inside / own)]
        return torch.cat([*found, nodes[-1:]])


class Trajectories(NamedTuple):
    """Where the ODE goes from n starts.

    Attributes:
        x: states at t_max, (n, *shape).
        nodes: states at the student's nodes after the first, the last are data; (N, n, *shape).
        labels: class numbers (n,), -1 for none; None where there are no classes.
    """

    x: Tensor
    nodes: Tensor
    labels: Tensor | None

    def rows(self, chosen: Tensor) -> Trajectories:
        """Return some of them."""
        labels = None if self.labels is None else self.labels[chosen]
        return Trajectories(self.x[chosen], self.nodes[:, chosen], labels)


class Teacher:
    """A model, asked for trajectories by `exp-abm3` through the nodes of a student.

    It takes about `model.steps` steps, at least 18, of which two at least between two nodes,
    whatever the model's own solver is.

    Args:
        model: the teacher.
        student: the student's solver.
        guidance: of its samples.
        seed: of the starts.

    Attributes:
        evaluations: of its network for each trajectory.
        drawn: trajectories so far.
    """

    def __init__(
        self, model: FieldModel, student: StudentSolver, guidance: Guidance, seed: int
    ) -> None:
        self.model, self.guidance, self.drawn = model, guidance, 0
        self._seed = seed_for(seed, DISTILLED)
        counts = _counts(model, student.grid, student.own_steps)
        self.solver = cast(GridSolver, build_solver("exp-abm3"))
        self.solver.grid = Between(student.grid, counts)
        self._ends = [sum(counts[: i + 1]) - 1 for i in range(len(counts) - 1)]
        self.evaluations = sum(counts) + 1

    def flow(self, labels: Tensor | None) -> Flow:
        """Return its ODE, guided; labels (n,) or None."""
        return self.model.flow(labels, self.guidance)

    @torch.no_grad()
    def draw(self, n: int) -> Trajectories:
        """Return the next n trajectories; each depends on the seed and its own number alone.

        Raises:
            ZooError: a state became non-finite.
        """
        model = self.model
        x = starting_points(model.prior, model.shape, self._seed, self.drawn, self.drawn + n)
        labels = self._labels(n)
        self.drawn += n
        x = x.to(model.device, torch.float32)
        nodes: list[Tensor] = []

        def keep(i: int, t: float, state: Tensor) -> None:
            del t
            if i in self._ends:
                nodes.append(state.float())

        data = self.solver.to_data(self.flow(labels), x, steps=self.evaluations, callback=keep)
        return Trajectories(x, torch.stack([*nodes, model.in_range(data.double()).float()]), labels)

    def _labels(self, n: int) -> Tensor | None:
        classes = unwrapped(self.model.network).labels
        if not classes:
            return None

        def draw(generator: torch.Generator) -> Tensor:
            labels = torch.randint(int(classes), (GROUP,), generator=generator)
            return torch.where(torch.rand(GROUP, generator=generator) < _HIDDEN, -1, labels)

        labels = by_group(self.drawn, self.drawn + n, self._seed, draw, _LABELS)
        return labels.to(self.model.device)


def _counts(model: FieldModel, nodes: Grid, count: int) -> tuple[int, ...]:
    """Return how many steps the teacher takes after each node: by the way between them."""
    kernel = model.kernel
    times = nodes.times(kernel, kernel.t_max, kernel.t_min, count)
    places = FocusGrid().forward(kernel.level(times).clamp(max=LEVEL_CAP)).tolist()
    whole = (places[0] - places[-1]) / max(model.steps, 18)
    return tuple(max(_LEAST, round((a - b) / whole)) for a, b in pairwise(places))


class Pool:
    """Trajectories to train on; new ones take the place of the oldest where it is full.

    Args:
        first: the first ones, of which it takes size, dtype and device.
    """

    def __init__(self, first: Trajectories) -> None:
        self.size = max(len(first.x), _NUMBERS // (first.x[0].numel() * (len(first.nodes) + 1)))
        self._kept = [first]
        self._count = len(first.x)

    def add(self, new: Trajectories) -> None:
        """Take in new ones, and let the oldest go."""
        self._kept.append(new)
        self._count += len(new.x)
        while self._count > self.size and len(self._kept) > 1:
            self._count -= len(self._kept.pop(0).x)

    def batch(self, n: int, generator: torch.Generator) -> Trajectories:
        """Return n of them at random, the same one more than once perhaps."""
        chosen = torch.randint(self._count, (n,), generator=generator)
        parts, first = [], 0
        for block in self._kept:
            own = chosen[(chosen >= first) & (chosen < first + len(block.x))] - first
            if len(own):
                parts.append(block.rows(own.to(block.x.device)))
            first += len(block.x)
        labels = [part.labels for part in parts if part.labels is not None]
        return Trajectories(
            torch.cat([part.x for part in parts]),
            torch.cat([part.nodes for part in parts], dim=1),
            torch.cat(labels) if labels else None,
        )

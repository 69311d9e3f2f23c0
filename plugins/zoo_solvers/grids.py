"""Time grids: where a fixed-step solver evaluates the field.

A grid has steps + 1 times, strictly monotone from exactly t_from to exactly t_to, in either
direction, uniform in some function of the noise level (data units, EDM's sigma) or of t. In the
noise level every kernel gets the same grid by radius matching.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from zoo.errors import ZooError, did_you_mean
from zoo.interfaces import FieldKernel
from zoo_solvers.checks import positive
from zoo_solvers.linear import LARGEST_SHARE

Map = Callable[[Tensor], Tensor]

# Interior nodes stay below this level, twice EDM's sigma_max: the level of some kernels is
# infinite at t_max (flow matching), and above it the field no longer depends on the data.
LEVEL_CAP = 160.0


class Grid(ABC):
    """A rule for placing steps + 1 times between two."""

    @abstractmethod
    def times(
        self,
        kernel: FieldKernel,
        t_from: float,
        t_to: float,
        steps: int,
        share: Tensor | None = None,
    ) -> Tensor:
        """Return times, float64, shape (steps + 1,), or (steps + 1, B) with a share.

        `share`, shape (B,), is each sample's own noise level over the kernel's typical one,
        for kernels whose level is random: the grid is then laid in the sample's own level.
        """


class TimeGrid(Grid):
    """Uniform in forward(t); `back` is the inverse function. A share does not move it."""

    def __init__(self, forward: Map, back: Map) -> None:
        self._forward, self._back = forward, back

    def times(
        self,
        kernel: FieldKernel,
        t_from: float,
        t_to: float,
        steps: int,
        share: Tensor | None = None,
    ) -> Tensor:
        """Return times uniform in forward(t)."""
        del kernel
        ends = torch.tensor([t_from, t_to], dtype=torch.float64)
        inside = self._back(between(self._forward(ends), steps)).clamp(*ends.sort()[0])
        times = torch.cat([ends[:1], inside, ends[1:]])
        return times if share is None else times.to(share)[:, None].expand(-1, len(share))


class LevelGrid(Grid):
    """Uniform in forward(level); `back` is the inverse function. Levels stop at `cap`."""

    def __init__(self, forward: Map, back: Map, cap: float = LEVEL_CAP) -> None:
        self._forward, self._back, self._cap = forward, back, cap

    def times(
        self,
        kernel: FieldKernel,
        t_from: float,
        t_to: float,
        steps: int,
        share: Tensor | None = None,
    ) -> Tensor:
        """Return times uniform in forward(level), or in t where all levels are above the cap."""
        ends = torch.tensor([t_from, t_to], dtype=torch.float64)
        levels = kernel.level(ends)
        flat = float(levels.min()) * (1.0 if share is None else LARGEST_SHARE) >= self._cap
        if share is not None:
            ends, levels = (v.to(share)[:, None] for v in (ends, levels))
            levels = levels * share
        capped = levels.clamp(max=self._cap)
        inside = self._back(between(self._forward(capped), steps))
        times = kernel.time_at(inside if share is None else inside / share)
        if flat:  # for some at least
            times = torch.where(capped[:1] == capped[1:], between(ends, steps), times)
        ends = ends.expand(2, *times.shape[1:])
        return torch.cat([ends[:1], times, ends[1:]])


class ShortStart(Grid):
    """Another grid with its first step divided, 1 / sqrt(steps) of it first.

    A multistep method knows one value when it starts. Its first step leaves an error of h^3,
    which a method of order 4 cannot afford; divided like this, of h^4.5.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def times(
        self,
        kernel: FieldKernel,
        t_from: float,
        t_to: float,
        steps: int,
        share: Tensor | None = None,
    ) -> Tensor:
        """Return the grid's times, or those of one step less and one more after the first."""
        if steps < 2:
            return self._grid.times(kernel, t_from, t_to, steps, share)
        times = self._grid.times(kernel, t_from, t_to, steps - 1, share)
        return torch.cat([times[:1], torch.lerp(times[:1], times[1:2], steps**-0.5), times[1:]])


def between(ends: Tensor, steps: int) -> Tensor:
    """Return the steps - 1 equally spaced points strictly between ends[0] and ends[1]."""
    share = torch.arange(1, steps, dtype=ends.dtype, device=ends.device) / steps
    return torch.lerp(ends[:1], ends[1:], share.reshape(-1, *(1,) * (ends.ndim - 1)))


def edm(rho: float) -> Grid:
    """Return EDM's grid, uniform in level^(1/rho): arXiv:2206.00364, eq. 5; EDM takes 7."""
    positive("rho", rho)
    return LevelGrid(lambda level: level ** (1 / rho), lambda u: u**rho)


def angle(pivot: float) -> Grid:
    """Return the grid uniform in atan(level / pivot), densest in log level at the pivot.

    The angle between signal and noise: the cosine schedule of arXiv:2102.09672, shifted as in
    arXiv:2301.11093. It spends no steps where only noise, or only data, is left.
    """
    positive("pivot", pivot)
    return LevelGrid(lambda level: (level / pivot).atan(), lambda u: pivot * u.tan(), math.inf)


def focus(pivot: float, width: float) -> Grid:
    """Return the grid uniform in asinh(log(level / pivot) / width).

    Steps in log level are shortest at the pivot and grow in proportion to the distance from it,
    beyond `width` nats: dense where data take shape, with tails that a log grid would have.
    """
    positive("pivot", pivot)
    positive("width", width)
    return LevelGrid(
        lambda level: ((level / pivot).log() / width).asinh(),
        lambda u: pivot * (width * u.sinh()).exp(),
    )


def through(levels: Sequence[float]) -> Grid:
    """Return the grid through given levels, for any number of steps; log level in between.

    Raises:
        ZooError: fewer than two levels, or not all positive and strictly decreasing.
    """
    if len(levels) < 2:
        raise ZooError(f"grid = {list(levels)}; expected at least two noise levels")
    for level in levels:
        positive("grid level", level)
    if any(later >= earlier for earlier, later in pairwise(levels)):
        raise ZooError("grid levels must decrease strictly, from noise to data")
    logs = torch.tensor(levels, dtype=torch.float64).log().flip(0)
    numbers = torch.arange(len(levels), dtype=torch.float64)
    return LevelGrid(
        lambda level: piecewise(level.log(), logs, numbers),
        lambda u: piecewise(u, numbers, logs).exp(),
    )


def piecewise(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Return the piecewise linear function through (knots, values) at x, extended linearly."""
    knots, values = knots.to(x.device), values.to(x.device)
    right = torch.searchsorted(knots, x.contiguous()).clamp(1, len(knots) - 1)
    low, high = knots[right - 1], knots[right]
    return torch.lerp(values[right - 1], values[right], (x - low) / (high - low))


def named(name: str | Sequence[float], *, rho: float, pivot: float, width: float) -> Grid:
    """Return a grid by name, or through given levels.

    "edm" is uniform in level^(1/rho), "angle" in atan(level / pivot), "focus" in
    asinh(log(level / pivot) / width), "log" in log level, "radius" in the level itself (the
    sample's distance from its source), "log-time" in log t, "time" in t.

    Raises:
        ZooError: there is no such grid.
    """
    if not isinstance(name, str):
        try:
            return through([*name])
        except TypeError:
            message = f"grid = {name!r}; expected a name or a list of decreasing levels"
            raise ZooError(message) from None
    grids: dict[str, Grid] = {
        "angle": angle(pivot),
        "edm": edm(rho),
        "focus": focus(pivot, width),
        "log": LevelGrid(torch.log, torch.exp),
        "log-time": TimeGrid(torch.log, torch.exp),
        "radius": LevelGrid(torch.clone, torch.clone),
        "time": TimeGrid(torch.clone, torch.clone),
    }
    if name not in grids:
        raise ZooError(f"no grid {name!r}: {did_you_mean(name, grids)}")
    return grids[name]

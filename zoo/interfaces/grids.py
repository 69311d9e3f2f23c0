"""Time grids: where a fixed-step solver evaluates the field.

A grid has steps + 1 times, strictly monotone from exactly t_from to exactly t_to, in either
direction, uniform in some function of the noise level (data units, EDM's sigma) or of t. In the
noise level every kernel gets the same grid by radius matching.

A grid is written as its name, "edm"; as its name with options, {"use": "edm", "rho": 5}; or as a
list of decreasing noise levels.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError, brief, did_you_mean
from zoo.interfaces.checks import check_positive
from zoo.interfaces.kernel import FieldKernel

# A grid as options have it: its name, a mapping of its name and options, or decreasing levels.
GridSpec = str | Mapping[str, Any] | Sequence[float]

# Interior nodes stay below this level, twice EDM's sigma_max: the level of some kernels is
# infinite at t_max (flow matching), and above it the field hardly depends on data of size 1.
LEVEL_CAP = 160.0
# Bounds on a sample's own noise level over the kernel's typical one.
LEAST_RATIO, LARGEST_RATIO = 1e-3, 1e3


class Grid(ABC):
    """A rule for placing steps + 1 times between two."""

    def times(
        self,
        kernel: FieldKernel,
        t_from: float,
        t_to: float,
        steps: int,
        level_ratio: Tensor | None = None,
    ) -> Tensor:
        """Return times, float64, shape (steps + 1,), or (steps + 1, B) with level ratios.

        `level_ratio`, shape (B,), is each sample's own noise level over the kernel's typical one,
        for kernels whose level is random: the grid is then laid in the sample's own level.
        """
        ends = torch.tensor([t_from, t_to], dtype=torch.float64)
        return self._times(kernel, ends, steps, level_ratio)

    @abstractmethod
    def _times(self, kernel: FieldKernel, ends: Tensor, steps: int, ratio: Tensor | None) -> Tensor:
        """Return what `times` does, between two ends, (2,)."""


class Scaled(Grid):
    """A grid that is uniform in `forward` of something, with the inverse function `back`."""

    @abstractmethod
    def forward(self, value: Tensor) -> Tensor:
        """Return the scale on which times are equally spaced, like value; increasing."""

    @abstractmethod
    def back(self, place: Tensor) -> Tensor:
        """Return the value at a place on the scale, like place."""


class TimeGrid(Scaled):
    """Uniform in t. A level ratio does not move it."""

    def forward(self, value: Tensor) -> Tensor:
        """Return t."""
        return value

    def back(self, place: Tensor) -> Tensor:
        """Return t."""
        return place

    def _times(self, kernel: FieldKernel, ends: Tensor, steps: int, ratio: Tensor | None) -> Tensor:
        del kernel
        inside = self.back(_between(self.forward(ends), steps)).clamp(*ends.sort()[0])
        times = torch.cat([ends[:1], inside, ends[1:]])
        return times if ratio is None else times.to(ratio)[:, None].expand(-1, len(ratio))


class LogTimeGrid(TimeGrid):
    """Uniform in log t."""

    def forward(self, value: Tensor) -> Tensor:
        """Return log t."""
        return value.log()

    def back(self, place: Tensor) -> Tensor:
        """Return t."""
        return place.exp()


class LevelGrid(Scaled):
    """Uniform in the noise level itself, the sample's distance from its source, up to `cap`.

    Uniform in t where all levels are above it.
    """

    cap = LEVEL_CAP

    def forward(self, value: Tensor) -> Tensor:
        """Return the level."""
        return value

    def back(self, place: Tensor) -> Tensor:
        """Return the level."""
        return place

    def _times(self, kernel: FieldKernel, ends: Tensor, steps: int, ratio: Tensor | None) -> Tensor:
        levels = kernel.level(ends)
        flat = float(levels.min()) * (1.0 if ratio is None else LARGEST_RATIO) >= self.cap
        if ratio is not None:
            ends, levels = (v.to(ratio)[:, None] for v in (ends, levels))
            levels = levels * ratio
        capped = levels.clamp(max=self.cap)
        inside = self.back(_between(self.forward(capped), steps))
        times = kernel.time_at(inside if ratio is None else inside / ratio)
        if flat:  # for some at least
            times = torch.where(capped[:1] == capped[1:], _between(ends, steps), times)
        ends = ends.expand(2, *times.shape[1:])
        return torch.cat([ends[:1], times, ends[1:]])


class LogGrid(LevelGrid):
    """Uniform in log level."""

    def forward(self, value: Tensor) -> Tensor:
        """Return log level."""
        return value.log()

    def back(self, place: Tensor) -> Tensor:
        """Return the level."""
        return place.exp()


class EDMGrid(LevelGrid):
    """EDM's grid, uniform in level^(1/rho), up to a level: arXiv:2206.00364, eq. 5."""

    def __init__(self, rho: float = 7.0, cap: float = LEVEL_CAP) -> None:
        self.rho, self.cap = check_positive("rho", rho), check_positive("cap", cap)

    def forward(self, value: Tensor) -> Tensor:
        """Return level^(1/rho)."""
        return value ** (1 / self.rho)

    def back(self, place: Tensor) -> Tensor:
        """Return the level."""
        return place**self.rho


class AngleGrid(LevelGrid):
    """Uniform in atan(level / pivot), densest in log level at the pivot.

    The angle between signal and noise: the cosine schedule of arXiv:2102.09672, shifted as in
    arXiv:2301.11093. It spends no steps where only noise, or only data, is left.
    """

    cap = math.inf

    def __init__(self, pivot: float = 3.0) -> None:
        self.pivot = check_positive("pivot", pivot)

    def forward(self, value: Tensor) -> Tensor:
        """Return the angle."""
        return (value / self.pivot).atan()

    def back(self, place: Tensor) -> Tensor:
        """Return the level."""
        return self.pivot * place.tan()


class FocusGrid(LevelGrid):
    """Uniform in asinh(log(level / pivot) / width).

    Steps in log level are shortest at the pivot and grow in proportion to the distance from it,
    beyond `width` nats: dense where data take shape, with tails that a log grid would have.
    """

    def __init__(self, pivot: float = 3.0, width: float = 0.5) -> None:
        self.pivot, self.width = check_positive("pivot", pivot), check_positive("width", width)

    def forward(self, value: Tensor) -> Tensor:
        """Return the place, 0 at the pivot."""
        return ((value / self.pivot).log() / self.width).asinh()

    def back(self, place: Tensor) -> Tensor:
        """Return the level."""
        return self.pivot * (self.width * place.sinh()).exp()


class GivenLevels(LevelGrid):
    """Through given levels, for any number of steps; log level in between.

    Attributes:
        logs: logarithms of the levels, increasing, float64, (N,).

    Raises:
        ZooError: fewer than two levels, or not all positive and strictly decreasing.
    """

    least = 2

    def __init__(self, levels: Sequence[float]) -> None:
        if len(levels) < self.least:
            raise ZooError(f"grid = {[*levels]}; expected at least two noise levels")
        levels = [check_positive("grid level", level) for level in levels]
        if any(later >= earlier for earlier, later in pairwise(levels)):
            raise ZooError("grid levels must decrease strictly, from noise to data")
        self.cap = max(LEVEL_CAP, levels[0])
        self.logs = torch.tensor(levels, dtype=torch.float64).log().flip(0)
        self._numbers = torch.arange(len(levels), dtype=torch.float64)

    def forward(self, value: Tensor) -> Tensor:
        """Return the number of each level, counted from the least, like `value`."""
        return _piecewise(value.log(), self.logs, self._numbers)

    def back(self, place: Tensor) -> Tensor:
        """Return the level of each number, like `place`."""
        return _piecewise(place, self._numbers, self.logs).exp()


class ShortStart(Grid):
    """Another grid with its first step divided, 1 / sqrt(steps) of it first.

    A multistep method knows one value when it starts. Its first step leaves an error of h^3,
    which a method of order 4 cannot afford; divided like this, of h^4.5.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def _times(self, kernel: FieldKernel, ends: Tensor, steps: int, ratio: Tensor | None) -> Tensor:
        if steps < 2:
            return self._grid._times(kernel, ends, steps, ratio)
        times = self._grid._times(kernel, ends, steps - 1, ratio)
        return torch.cat([times[:1], torch.lerp(times[:1], times[1:2], steps**-0.5), times[1:]])


def _between(ends: Tensor, steps: int) -> Tensor:
    """Return the steps - 1 equally spaced points strictly between ends[0] and ends[1]."""
    fraction = torch.arange(1, steps, dtype=ends.dtype, device=ends.device) / steps
    return torch.lerp(ends[:1], ends[1:], fraction.reshape(-1, *(1,) * (ends.ndim - 1)))


def _piecewise(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Return the piecewise linear function through (knots, values) at x, extended linearly."""
    knots, values = knots.to(x.device), values.to(x.device)
    right = torch.searchsorted(knots, x.contiguous()).clamp(1, len(knots) - 1)
    low, high = knots[right - 1], knots[right]
    return torch.lerp(values[right - 1], values[right], (x - low) / (high - low))


GRIDS: dict[str, type[Grid]] = {
    "edm": EDMGrid,
    "angle": AngleGrid,
    "focus": FocusGrid,
    "log": LogGrid,
    "radius": LevelGrid,
    "log-time": LogTimeGrid,
    "time": TimeGrid,
}


def build_grid(given: GridSpec | Grid) -> Grid:
    """Return the grid written as `given`: a name, a name with options, levels; or a Grid as it is.

    Raises:
        ZooError: there is no such grid, it has no such option, or refuses a value.
    """
    if isinstance(given, Grid):
        return given
    if isinstance(given, str):
        given = {"use": given}
    if not isinstance(given, Mapping):
        try:
            return GivenLevels([*given])
        except TypeError:
            message = f"grid = {brief(given)}; expected a name or a list of decreasing levels"
            raise ZooError(message) from None
    options = {**given}
    name = options.pop("use", None)
    if name is None:
        raise ZooError(
            f'a grid with options is written {{"use": "edm", ...}}; {did_you_mean("", GRIDS)}'
        )
    if not isinstance(name, str) or name not in GRIDS:
        spelt = name if isinstance(name, str) else ""
        raise ZooError(f"no grid {brief(name)}: {did_you_mean(spelt, GRIDS)}")
    known = inspect.signature(GRIDS[name]).parameters
    for option in options.keys() - known:
        hint = did_you_mean(option, known) if known else "it takes none"
        raise ZooError(f"grid {name!r} has no option {option!r}; {hint}")
    return GRIDS[name](**options)


OLD_OPTIONS = {"rho", "pivot", "width"}


def from_old_options(options: Mapping[str, Any], default: GridSpec) -> dict[str, Any]:
    """Return a solver's options with `rho`, `pivot` and `width` moved into its grid.

    They were options of every solver once: {"grid": "edm", "rho": 5} is now written
    {"grid": {"use": "edm", "rho": 5}}. Those that a grid does not have were ignored.

    Args:
        options: of a solver, as a config.json has them.
        default: the grid of the solver, where the options name none.
    """
    old = {name: options[name] for name in options if name in OLD_OPTIONS}
    new = {name: value for name, value in options.items() if name not in old}
    grid = new.get("grid", default)
    if isinstance(grid, str) and grid in GRIDS:
        known = inspect.signature(GRIDS[grid]).parameters
        own = {name: value for name, value in old.items() if name in known}
        new["grid"] = {"use": grid, **own} if own else grid
    return new

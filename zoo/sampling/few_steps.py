"""What is learned of the steps of the solver `learned`: its levels and coefficients."""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus

from zoo.errors import ZooError
from zoo.interfaces import LEVEL_CAP, FieldKernel, Solver

LEARN = ("coefficients", "grid", "both")
# Levels after the first, of the first and the last of them, in standard deviations of the data;
# and the only one of two evaluations.
_SPANS, _ONE_LEVEL = ((12.0, 1.2), (10.0, 0.7), (8.0, 0.4)), 2.0
# Of two of them, and of the first or last and the kernel's own, the ratio at most.
_APART = 0.8
_DIGITS = 6
# Samples of a gradient. Rows cost little and need many; of images the network's intermediate values
# at every step are kept, and so many coordinates are asked for in all.
_ROWS, _IMAGES, _LEAST_IMAGES, _COORDINATES = 512, 64, 4, 2**20


class Learnable(Protocol):
    """What is asked of the solver `learned`."""

    def learnable(self) -> dict[str, Tensor]:
        """Return log levels "grid", increasing, (N,), and "coefficients", (N, 3)."""

    def learn(self, *, grid: Tensor, coefficients: Tensor) -> None:
        """Take tensors, which may require grad, in their place."""


class FewSteps:
    """Levels and coefficients of N steps, free to be moved by an optimiser.

    Levels are kept decreasing by the softplus of their gaps in log level; the first one stays.

    Args:
        solver: `learned`, which they begin as.
        learn: "coefficients", "grid" or "both".

    Attributes:
        free: the tensors that are learned, by name, each requires grad; none of one step.
    """

    def __init__(self, solver: Learnable, learn: str = "both") -> None:
        known = solver.learnable()
        logs, self._coefficients = known["grid"].detach(), known["coefficients"].detach().clone()
        self._top, self._gaps = logs[-1:], logs.diff().expm1().log()
        # Step i knows i values before the newest.
        self._used = torch.ones_like(self._coefficients).tril(-1)
        all_of_them = {"grid": self._gaps, "coefficients": self._coefficients}
        wanted = {name: v for name, v in all_of_them.items() if learn in (name, "both")}
        several = len(logs) > 1
        self.free = {name: v.requires_grad_() for name, v in wanted.items() if several}

    def put(self, solver: Learnable) -> None:
        """Give a solver these steps, differentiable in what is learned."""
        gaps = softplus(self._gaps).flip(0).cumsum(0).flip(0)
        logs = torch.cat([self._top - gaps, self._top])
        solver.learn(grid=logs, coefficients=self._coefficients * self._used)

    def options(self, begun_as: dict[str, Any]) -> dict[str, Any]:
        """Return the options of a solver with what was learned in them, numbers of six digits."""
        found = {**begun_as}
        if "grid" in self.free:
            gaps = softplus(self._gaps.detach()).flip(0).cumsum(0)
            found["grid"] = [begun_as["grid"][0], *_short((self._top - gaps).exp())]
        if "coefficients" in self.free:
            rows = self._coefficients.detach()
            found["coefficients"] = [_short(row[: min(i, len(row))]) for i, row in enumerate(rows)]
        return found


def _short(values: Tensor) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values.tolist()]


def levels_of(kernel: FieldKernel, solver: Solver, steps: int) -> list[float]:
    """Return the noise levels of the solver's own grid, `steps` of them, at most LEVEL_CAP.

    Raises:
        ZooError: it has no grid, or its levels do not decrease.
    """
    times = solver.times(kernel, kernel.t_max, kernel.t_min, steps - 1)
    levels: list[float] = kernel.level(times).clamp(max=LEVEL_CAP).tolist()
    if any(b >= a for a, b in pairwise(levels)):
        raise ZooError(f"{type(solver).__name__} has no grid of decreasing noise levels")
    return levels


def few_levels(kernel: FieldKernel, solver: Solver, steps: int, size: float) -> list[list[float]]:
    """Return grids of N levels that few steps may begin with, decreasing, all ending above t_min.

    They are the solver's own of one step more without its end, where they decrease, and others
    whose levels after the first, that of t_max, are evenly spaced in log level where data of
    standard deviation `size` take shape, as far as the kernel's levels reach.
    """
    grids = []
    with suppress(ZooError):  # it has levels above LEVEL_CAP
        grids.append(levels_of(kernel, solver, steps + 1)[:-1])
    high, low = (float(kernel.level(t)) for t in (kernel.t_max, kernel.t_min))
    top, count = min(high, LEVEL_CAP), steps - 1
    # Of narrow kernels, and of data that are small next to their levels.
    apart = max(_APART, (low / top) ** (1 / (count + 2)))
    bounds = [(low * apart ** (i - steps), top * apart**i) for i in range(1, steps)]
    for first, last in _SPANS if count > 1 else ((_ONE_LEVEL, _ONE_LEVEL),):
        first = min(first * size, top / 2)
        last = min(last * size, first / 2) if count > 1 else first
        logs = torch.linspace(math.log(first), math.log(last), count, dtype=torch.float64).tolist()
        levels = [min(max(math.exp(x), a), b) for x, (a, b) in zip(logs, bounds, strict=True)]
        grid = [top, *(float(f"{level:.4g}") for level in levels)]
        if grid not in grids:
            grids.append(grid)
    return grids


def gradient_batch(shape: tuple[int, ...], steps: int) -> int:
    """Return how many samples of a shape a gradient through so many steps is of."""
    if len(shape) == 1:
        return _ROWS
    return max(_LEAST_IMAGES, min(_IMAGES, _COORDINATES // (steps * math.prod(shape))))

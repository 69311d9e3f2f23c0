"""Time grids: where a fixed-step solver evaluates the field.

A grid is a function (kernel, t_from, t_to, steps) -> steps + 1 times, strictly monotone from
exactly t_from to exactly t_to, in either direction. Grids are uniform in some function of the
noise level (data units, EDM's sigma), so every kernel gets the same grid by radius matching.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from zoo.errors import ZooError, did_you_mean
from zoo.interfaces import FieldKernel

Grid = Callable[[FieldKernel, float, float, int], list[float]]

# Interior nodes stay below this level, twice EDM's sigma_max: the level of some kernels is
# infinite at t_max (flow matching), and above it the field no longer depends on the data.
LEVEL_CAP = 160.0


def linear(start: float, end: float, steps: int) -> list[float]:
    """Return steps + 1 equally spaced numbers from start to end."""
    return [start + (end - start) * i / steps for i in range(steps + 1)]


def time_uniform(kernel: FieldKernel, t_from: float, t_to: float, steps: int) -> list[float]:
    """Return times uniform in t itself, the kernel's own variable."""
    del kernel
    return [t_from, *linear(t_from, t_to, steps)[1:-1], t_to]


def log_time_uniform(kernel: FieldKernel, t_from: float, t_to: float, steps: int) -> list[float]:
    """Return times uniform in log t."""
    del kernel
    logs = linear(math.log(t_from), math.log(t_to), steps)
    return [t_from, *(math.exp(u) for u in logs[1:-1]), t_to]


def level_uniform(
    forward: Callable[[float], float], back: Callable[[float], float]
) -> Grid:
    """Return the grid that is uniform in forward(level); `back` is the inverse function."""

    def grid(kernel: FieldKernel, t_from: float, t_to: float, steps: int) -> list[float]:
        ends = kernel.level(torch.tensor([t_from, t_to], dtype=torch.float64))
        first, last = ends.clamp(max=LEVEL_CAP).tolist()
        if first == last:
            return time_uniform(kernel, t_from, t_to, steps)
        levels = [back(u) for u in linear(forward(first), forward(last), steps)[1:-1]]
        times = kernel.time_at(torch.tensor(levels, dtype=torch.float64))
        return [t_from, *times.tolist(), t_to]

    return grid


def edm(rho: float = 7.0) -> Grid:
    """Return EDM's grid, uniform in level^(1/rho): arXiv:2206.00364, eq. 5.

    Raises:
        ZooError: rho is not a positive number.
    """
    if isinstance(rho, bool) or not isinstance(rho, (int, float)) or not 0 < rho < math.inf:
        raise ZooError(f"rho = {rho!r}; expected a positive number (EDM uses 7)")
    return level_uniform(lambda level: level ** (1 / rho), lambda u: u**rho)


def log_level() -> Grid:
    """Return the grid uniform in the log of the noise level."""
    return level_uniform(math.log, math.exp)


def named(name: str, rho: float) -> Grid:
    """Return a grid by name: "edm", "log" (level), "log-time" or "time".

    Raises:
        ZooError: there is no such grid.
    """
    grids: dict[str, Grid] = {
        "edm": edm(rho), "log": log_level(), "log-time": log_time_uniform, "time": time_uniform
    }
    if name not in grids:
        raise ZooError(f"no grid {name!r}: {did_you_mean(str(name), grids)}")
    return grids[name]

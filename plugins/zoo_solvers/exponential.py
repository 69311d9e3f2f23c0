"""Exponential solvers: for every kernel, with the linear part of its ODE exact.

x' = (sigma'/sigma) x + sigma' integral of D d(alpha/sigma); `coefficients` has the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, Flow
from zoo.interfaces.solver import StepCallback
from zoo_solvers import coefficients, grids
from zoo_solvers.checks import positive, scale_of
from zoo_solvers.coefficients import Line, bashforth, corrected, moulton
from zoo_solvers.linear import denoiser, marginal, typical_noise
from zoo_solvers.multistep import Multistep, Tabulated, Value
from zoo_solvers.plan import mix
from zoo_solvers.walk import held


class Exponential(Tabulated):
    """Weights multiply the denoiser D.

    Options:
        grid: "focus" (dense around level `pivot`, uniform in asinh(log(level / pivot) / width)),
            "edm" (in level^(1/rho)), "angle" (in atan(level / pivot)), "log" (in log level),
            "radius" (in level), "log-time", "time", or a list of decreasing levels.
        rho: exponent of the EDM grid.
        pivot: level around which the focus and angle grids are densest.
        width: nats around the pivot in which the focus grid is uniform in log level.
        scale: standard deviation of the data, in data units; by default the model's sigma_data.
    """

    def __init__(
        self,
        *,
        grid: str | Sequence[float] = "focus",
        rho: float = 7.0,
        pivot: float = 3.0,
        width: float = 0.5,
        scale: float | None = None,
    ) -> None:
        found = grids.named(grid, rho=rho, pivot=pivot, width=width)
        super().__init__(self.nodes(found) if isinstance(grid, str) else found)
        self._scale = None if scale is None else positive("scale", scale)

    def nodes(self, grid: grids.Grid) -> grids.Grid:
        """Return the grid to walk where `grid` is asked for by name; a list is walked as it is."""
        return grid

    def value(self, flow: Flow) -> Value:
        """Return the denoiser."""
        return denoiser(flow)

    def typical(self, kernel: FieldKernel, t: float) -> float | None:
        """Return the typical |x - D| at t where the level is random: a share is measured by it."""
        return typical_noise(kernel, t)

    def line(self, flow: Flow, times: Tensor, share: Tensor | None) -> Line:
        """Return the linear part along times."""
        alpha, sigma = marginal(flow.kernel, times)
        own = sigma if share is None else sigma * share
        return coefficients.Exponential(alpha, own, scale_of(flow, self._scale))


class DDIM(Exponential, Multistep):
    """Exponential Euler: D constant over a step. DDIM, arXiv:2010.02502, for any kernel."""

    order = 1

    def table(self, line: Line) -> Tensor:
        """Return the weights of D_i."""
        return bashforth(line, 1)


class AB2(Exponential, Multistep):
    """Exponential Adams-Bashforth of two values; DPM-Solver++(2M), arXiv:2211.01095, at scale 0."""

    order = 2

    def table(self, line: Line) -> Tensor:
        """Return the weights of D_i, D_{i-1}; the first step is corrected once D_1 is known."""
        return corrected(line, bashforth(line, 2), moulton(line, 2), until=1)


class AB3(Exponential, Multistep):
    """Exponential Adams-Bashforth of three values; the first step is corrected afterwards."""

    order = 3

    def table(self, line: Line) -> Tensor:
        """Return the weights of D_i, D_{i-1}, D_{i-2}."""
        return corrected(line, bashforth(line, 3), moulton(line, 2), until=1)


class ABM3(Exponential, Multistep):
    """Exponential Adams-Bashforth-Moulton: two values predict, three correct.

    The corrector uses the evaluation that the next step needs anyway (PEC, as in UniPC,
    arXiv:2302.04867), so a step costs one evaluation.
    """

    order = 3

    def table(self, line: Line) -> Tensor:
        """Return the weights of D_i, D_{i-1}, D_{i-2}."""
        return corrected(line, bashforth(line, 2), moulton(line, 3), until=line.steps)


class ABM4(Exponential, Multistep):
    """Exponential Adams-Bashforth-Moulton: three values predict, four correct, as in `ABM3`.

    Better than that where steps are short against what the denoiser does: by 20 evaluations or so.
    A grid by name gets a start that is worth the order; a list of levels is walked as it is.
    """

    order = 4

    def nodes(self, grid: grids.Grid) -> grids.Grid:
        """Return the grid with its first step divided."""
        return grids.ShortStart(grid)

    def table(self, line: Line) -> Tensor:
        """Return the weights of D_i, D_{i-1}, D_{i-2}, D_{i-3}."""
        return corrected(line, bashforth(line, 3), moulton(line, 4), until=line.steps)


class Heun(Exponential):
    """Exponential Euler, then D linear between the step's two ends: two evaluations a step."""

    order = 2

    def table(self, line: Line) -> Tensor:
        """Return the weight of D_i in the predictor, then of D_{i+1}, D_i in the corrector."""
        return torch.cat([bashforth(line, 1), moulton(line, 2)], dim=1)

    def walk(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, after: StepCallback
    ) -> Tensor:
        """Return x at t_to."""
        denoise = self.value(flow)
        here = denoise(x, t_from)
        x = held(x, here, steps)
        plan = self.plan(flow, x, here, t_from, t_to, steps)
        for i in range(steps):
            if i:
                here = denoise(x, plan.times[i])
            shrink, weights = plan.states[i], plan.values[i]
            ahead = denoise(mix([x], shrink, [here], weights[:1]), plan.times[i + 1])
            x = mix([x], shrink, [ahead, here], weights[1:])
            after(i, plan.nominal[i + 1], x)
        return x

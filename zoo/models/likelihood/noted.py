"""Estimates of log densities: exponential steps, and a spline through the divergences there.

The integral of the divergence is a plain integral along the trajectory, not an ODE: a method of
one evaluation a step can be any that is good for the state, such as an exponential one, to which
the ODE of both would not look linear. Few steps are right to much less than the standard error of
Hutchinson's estimate; samples for which they are not get twice as many.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from zoo.host.build import solver as build_solver
from zoo.interfaces import Flow, PriorSampler, Solver
from zoo.interfaces.solver import StepCallback
from zoo.models.likelihood.flow import Divergence, Evaluate

# The error allowed, in standard errors of the estimate, and in nats where that has none.
_PART, _LEAST = 1 / 3, 1e-3
MOST_STEPS = 3072


class NotedFlow(Flow):
    """A flow that notes the divergence wherever a solver evaluates it.

    Args:
        flow: the ODE of x; it is left to this one.
        divergence: of that flow.
        who: the numbers of the samples.
    """

    def __init__(self, flow: Flow, divergence: Divergence, who: Tensor) -> None:
        vars(self).update(vars(flow))
        self.rows = who
        self._flow, self._divergence = flow, divergence
        self._notes: list[tuple[Tensor, Tensor]] = []

    def denoise(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t = x], shape (B, *), and note the divergence."""
        return self._noted(x, t, self._denoised)

    def field(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return dx/dt at (x, t), shape (B, *), and note the divergence."""
        return self._noted(x, t)

    def _denoised(self, x: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor]:
        d = self._flow.denoise(x, t)
        return d, self.kernel.velocity(x, d.to(x.dtype), t)

    def _noted(self, x: Tensor, t: Tensor | float, evaluate: Evaluate | None = None) -> Tensor:
        self._flow.guard = self.guard
        found, divergence = self._divergence(x, t, self.rows, evaluate)
        self.nfe = self._flow.nfe
        at = torch.as_tensor(t, dtype=torch.float64).expand(len(x))
        self._notes.append((at.cpu(), divergence.double().cpu()))
        return found

    def integrate(
        self, solver: Solver, x: Tensor, steps: int, callback: StepCallback
    ) -> tuple[Tensor, Tensor]:
        """Return x at t_max, (B, *), and the integrals of the divergence, (B, columns).

        Of cubic splines of t div f in log t through the ends of steps: t div f is smooth there,
        bounded by about d, under every kernel.

        Args:
            solver: of one evaluation a step, that lets no sample go.
            x: the state at t_min, (B, *).
            steps: number of steps.
            callback: of the solver.
        """
        self._notes.clear()
        ends = self.kernel.t_min, self.kernel.t_max
        end = solver.integrate(self, x, *ends, steps=steps, callback=callback)
        self.field(end, ends[1])
        times, values = (torch.stack(column).numpy() for column in zip(*self._notes, strict=True))
        logs, values = np.log(times), times[..., None] * values
        splines = (CubicSpline(logs[:, i], values[:, i]) for i in range(len(x)))
        found = [spline.integrate(*logs[[0, -1], i]) for i, spline in enumerate(splines)]
        return end, torch.from_numpy(np.stack(found)).to(end)


def estimated_densities(
    flow: Flow,
    divergence: Divergence,
    prior: PriorSampler,
    x: Tensor,
    *,
    steps: int,
    callback: StepCallback,
) -> Tensor:
    """Return log p(x) by each of the random directions, (B, columns), float64.

    Args:
        flow: the ODE of x.
        divergence: of that flow.
        prior: of x_T.
        x: states at t_min, (B, *).
        steps: number of steps, after a first estimate in half as many. They are doubled for
            samples whose estimate moves by more than a third of its standard error, up to
            `MOST_STEPS`.
        callback: of the first estimate.
    """
    solver = build_solver("exp-abm3", grid="log")
    found = x.new_zeros(len(x), divergence.columns, dtype=torch.float64)
    todo, steps, known = torch.arange(len(x), device=x.device), max(1, steps // 2), False
    while len(todo):
        noted = NotedFlow(flow, divergence, todo)
        end, integral = noted.integrate(solver, x[todo], steps, callback)
        now = integral + prior.log_density(end)[:, None]
        moved = (now - found[todo]).mean(dim=1).abs()
        allowed = now.std(dim=1) * (_PART / math.sqrt(now.shape[1]))
        found[todo] = now
        if known:
            todo = todo[moved > allowed.clamp(min=_LEAST)] if steps < MOST_STEPS else todo[:0]
        steps, known, callback = 2 * steps, True, _silent
    return found


def _silent(*_: object) -> None:
    """Stand for a callback."""

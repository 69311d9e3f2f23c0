"""Disturbances that a design should survive: noise on the way, weights of few bits."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import Flow, Solver
from zoo.interfaces.solver import StepCallback
from zoo.models.model import FieldModel
from zoo.sampling.rng import keys, normal


def check_noise(amount: float) -> None:
    """Raise ZooError unless `amount` is a finite number of at least 0."""
    if not 0 <= amount < float("inf"):
        raise ZooError(f"noise = {amount}; expected a number of at least 0")


def check_bits(bits: int) -> None:
    """Raise ZooError unless `bits` is 2 to 16."""
    if not 2 <= bits <= 16:
        raise ZooError(f"bits = {bits}; expected 2 to 16")


class NoisySolver(Solver):
    """A solver with noise added to the state after each of its steps but the last.

        x <- x + amount sigma(t) n,   n ~ N(0, I)

    sigma(t) is the kernel's level (median radius over sqrt d), so that one amount means the same
    to every kernel. Each step is a walk of its own, so a multistep method starts anew at each;
    with amount 0 a one-step method gives exactly what it gives undisturbed. A sample's noise
    depends on its starting point alone, not on the batch that it is in. What a state carries beside
    the sample, such as the level of a lifted one, is left as it is.
    Source of the experiment: PFGM++, arXiv:2302.04265, section 5.2.

    Args:
        solver: the solver, of fixed steps.
        amount: of noise, relative to the level, at least 0.
    """

    def __init__(self, solver: Solver, amount: float) -> None:
        check_noise(amount)
        self.solver, self.amount, self.order = solver, amount, solver.order
        self.couples_samples, self.part = solver.couples_samples, solver.part

    def integrate(
        self,
        flow: Flow,
        x: Tensor,
        t_from: float,
        t_to: float,
        *,
        steps: int,
        callback: StepCallback | None = None,
    ) -> Tensor:
        """Return x at t_to, disturbed on the way; arguments as for the solver's own."""
        key, times = keys(x), self._times(flow, x, t_from, t_to, steps)
        for i, (start, end) in enumerate(pairwise(times)):
            x = self.solver.integrate(flow, x, start, end, steps=1)
            if i < len(times) - 2:
                _, sigma = flow.kernel.marginal(torch.tensor(end, dtype=torch.float64))
                noise = normal(key, i, x)
                noise.flatten(1)[:, flow.kernel.dim :] = 0
                x = x + self.amount * float(sigma) * noise
            if callback is not None:
                callback(i, end, x)
        return x

    def _times(self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int) -> list[float]:
        """Return the solver's grid, seen by letting it walk a field that costs nothing."""
        times = [t_from]
        still = Flow(flow.kernel, lambda y, *_: torch.zeros_like(y))
        self.solver.integrate(
            still, x[:1], t_from, t_to, steps=steps, callback=lambda _i, t, _x: times.append(t)
        )
        times[-1] = t_to
        return times


def quantised(model: FieldModel, bits: int) -> FieldModel:
    """Return a copy of `model` whose weights have 2^bits - 1 levels, evenly spaced around 0.

        w -> s round(w / s),   s = max |w| / (2^(bits - 1) - 1)

    for each matrix and convolution as a whole; vectors (biases, gains) stay as they are.

    Raises:
        ZooError: bits not between 2 and 16.
    """
    check_bits(bits)
    top = 2 ** (bits - 1) - 1
    coarse = copy.deepcopy(model)
    with torch.no_grad():
        for weight in coarse.network.parameters():
            largest = float(weight.abs().max()) if weight.numel() else 0.0
            if weight.ndim >= 2 and largest > 0:
                step = largest / top
                weight.copy_((weight / step).round() * step)
    return coarse

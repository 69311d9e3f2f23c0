"""Perturbations that a design should survive: noise between steps, weights of few bits."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import Flow, Solver, StepCallback
from zoo.models.model import FieldModel


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

    sigma(t) is the kernel's noise level (median radius over sqrt d), so an amount means the same
    for every kernel. Each step is integrated separately, so a multistep method restarts at each;
    with amount 0 a one-step method returns exactly its result without noise. The noise is
    `Flow.noise`: for sample i of a model it depends on (seed, i) alone. The level in the state of a
    lifted sample gets no noise.
    Source of the experiment: PFGM++, arXiv:2302.04265, section 5.2.

    Args:
        solver: a solver of fixed steps, without noise of its own.
        amount: amount of noise, relative to sigma(t), at least 0.

    Raises:
        ZooError: an amount out of range, or a solver that cannot begin anew at each step.
    """

    def __init__(self, solver: Solver, amount: float) -> None:
        check_noise(amount)
        part = solver.part
        if solver.own_steps is not None or (part is not None and part.options.get("s_churn")):
            raise ZooError(
                f"noise after each step needs a solver that begins anew there, which "
                f"{part.use if part else type(solver).__name__} cannot do; name another, such as "
                "heun"
            )
        self.solver = solver
        self.amount = amount
        self.order = solver.order
        self.couples_samples = solver.couples_samples
        self.part = solver.part

    def _integrate(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, callback: StepCallback
    ) -> Tensor:
        times = self.solver.times(flow.kernel, t_from, t_to, steps).tolist()
        for i, (start, end) in enumerate(pairwise(times)):
            x = self.solver.integrate(flow, x, start, end, steps=1)
            if i < len(times) - 2:
                _, sigma = flow.kernel.marginal(torch.tensor(end, dtype=torch.float64))
                x = x + self.amount * float(sigma) * flow.noise(i, x)
            callback(i, end, x)
        return x


def quantised(model: FieldModel, bits: int) -> FieldModel:
    """Return a copy of `model` whose weights have 2^bits - 1 levels, evenly spaced around 0.

        w -> s round(w / s),   s = max |w| / (2^(bits - 1) - 1)

    with one s for each matrix or convolution; vectors (biases, gains) are not changed.

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

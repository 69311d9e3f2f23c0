"""Laws of solvers, on data N(0, I/4) under Gaussian noise, whose flow map is known."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from zoo.errors import CheckFailure, ZooError
from zoo.interfaces import Flow, GridSolver, Solver
from zoo.testing.calls import copied
from zoo.testing.numerics import normal
from zoo.testing.reference import VARIANCE, ReferenceKernel, denoiser, flow_map

KERNEL = ReferenceKernel(dim=4)
_ENDS = {"down": (80.0, 0.002), "up": (0.002, 80.0)}
_STEPS = (80, 160, 320)
# Below this relative error, rounding hides the order.
_ROUNDING = 1e-11
_ORDER_SLACK = 0.3
_ADAPTIVE_WITHIN = 0.25


class RecordingFlow(Flow):
    """The reference flow; it records the times at which it is evaluated."""

    def __init__(self) -> None:
        self.times: list[float] = []

        def recorded(x: Tensor, t: Tensor) -> Tensor:
            self.times += t.reshape(-1).tolist()
            return denoiser(x, t)

        super().__init__(KERNEL, recorded, dtype=torch.float64)


def _start(t: float) -> Tensor:
    return normal(6, 4) * math.sqrt(VARIANCE + t * t)


def _run(solver: Solver, ends: tuple[float, float], steps: int) -> tuple[float, int]:
    """Return (largest relative error at the end, evaluations)."""
    flow = RecordingFlow()
    x = _start(ends[0])
    exact = flow_map(x, *ends)
    with torch.no_grad():
        end = solver.integrate(flow, x, *ends, steps=steps)
    if end.shape != x.shape or end.dtype != torch.float64:
        raise CheckFailure(f"the result is {end.dtype} of shape {tuple(end.shape)}; expected x's")
    if isinstance(solver, GridSolver) and flow.nfe != solver.evaluations(steps):
        raise CheckFailure(
            f"{steps} steps take {flow.nfe} evaluations; declared {solver.evaluations(steps)}, "
            f"by stages = {solver.stages}"
        )
    return float((end - exact).abs().max() / exact.abs().max()), flow.nfe


def order(solver: Solver) -> None:
    """The error falls with the steps as `order` says; adaptive solvers keep it small.

    A step of a `GridSolver` takes `stages` evaluations. A solver that is made for one number of
    steps keeps the error of its samples small, and refuses another number.
    """
    if solver.own_steps is not None:
        _own_steps(solver, solver.own_steps)
        return
    for direction, ends in _ENDS.items():
        runs = [_run(solver, ends, steps) for steps in _STEPS]
        errors = [error for error, _ in runs]
        if not all(math.isfinite(error) for error in errors):
            raise CheckFailure(f"integrating {direction}, the result is not finite")
        if runs[-1][1] < 2 * runs[0][1]:
            # Adaptive: the evaluations do not grow with the steps.
            if errors[-1] > _ADAPTIVE_WITHIN:
                raise CheckFailure(
                    f"integrating {direction}, the relative error is {errors[-1]:.3g}"
                )
            continue
        measured = [
            math.log2(coarse / fine) if fine > _ROUNDING else math.inf
            for coarse, fine in pairwise(errors)
        ]
        if max(measured) < solver.order - _ORDER_SLACK:
            raise CheckFailure(
                f"integrating {direction}, the order measured is {max(measured):.2f} (errors "
                f"{errors[0]:.3g} to {errors[-1]:.3g} for {_STEPS[0]} to {_STEPS[-1]} steps); "
                f"declared {solver.order}"
            )


def _own_steps(solver: Solver, steps: int) -> None:
    data = _samples(solver, RecordingFlow())
    exact = flow_map(_start(80.0), 80.0, 0.002)
    error = float((data - exact).abs().max() / exact.abs().max())
    if not error <= _ADAPTIVE_WITHIN:
        raise CheckFailure(f"in its {steps} steps, the relative error of samples is {error:.3g}")
    try:
        solver.to_data(RecordingFlow(), _start(80.0), steps=steps + 1)
    except ZooError:
        return
    raise CheckFailure(f"declared for {steps} steps alone, it takes {steps + 1}")


def _samples(solver: Solver, flow: Flow) -> Tensor:
    """Return data in the solver's own number of steps."""
    assert solver.own_steps is not None
    with torch.no_grad():
        return solver.to_data(flow, _start(80.0), steps=solver.own_steps).double()


def interval(solver: Solver) -> None:
    """No evaluation leaves the interval between t_from and t_to."""
    if solver.own_steps is not None:
        flow = RecordingFlow()
        _samples(solver, flow)
        if min(flow.times) < KERNEL.t_min * (1 - 1e-6) or max(flow.times) > KERNEL.t_max * 1.000001:
            raise CheckFailure("samples are evaluated outside the kernel's times")
        return
    for ends in (*_ENDS.values(), (3.0, 0.1), (0.1, 3.0)):
        for steps in (1, 7):
            flow = RecordingFlow()
            with torch.no_grad():
                solver.integrate(flow, _start(ends[0]), *ends, steps=steps)
            low, high = min(flow.times), max(flow.times)
            slack = 1e-9
            if low < min(ends) * (1 - slack) or high > max(ends) * (1 + slack):
                bad = low if low < min(ends) * (1 - slack) else high
                raise CheckFailure(
                    f"integrating from {ends[0]:g} to {ends[1]:g} in {steps} steps, the field is "
                    f"evaluated at t = {bad:.9g}"
                )


def trivial(solver: Solver) -> None:
    """`integrate` does not change x, repeats exactly, and returns x if t_from = t_to."""
    x = _start(80.0)
    before = x.clone()
    if solver.own_steps is not None:
        if not torch.equal(_samples(solver, RecordingFlow()), _samples(solver, RecordingFlow())):
            raise CheckFailure("to_data gives two results for one start")
        return
    with torch.no_grad():
        first = solver.integrate(RecordingFlow(), x, 80.0, 0.002, steps=10)
        again = solver.integrate(RecordingFlow(), x, 80.0, 0.002, steps=10)
        still = solver.integrate(RecordingFlow(), x, 80.0, 80.0, steps=10)
    if not torch.equal(x, before):
        raise CheckFailure("integrate changes the tensor that it is given")
    if not torch.equal(first, again):
        raise CheckFailure("integrate gives two results for one start")
    if not torch.equal(still, x):
        raise CheckFailure("integrate moves x although t_from = t_to")


def pickling(solver: Solver) -> None:
    """A solver that was pickled, before and after a run, and read again gives the same bits."""
    x, steps = _start(80.0), solver.own_steps or 10
    with torch.no_grad():
        ends = [
            one.to_data(RecordingFlow(), x, steps=steps)
            for one in (copied(solver), solver, copied(solver))
        ]
    if not all(torch.equal(end, ends[0]) for end in ends[1:]):
        raise CheckFailure("pickled and read again, the solver gives other numbers")

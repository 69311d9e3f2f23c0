"""Trajectories: samples of a model at every step from the prior to data.

`integrate_to_data` is the one place that steps a solver through a model.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import torch
from torch import Tensor
from tqdm import tqdm

from zoo.errors import ZooError
from zoo.host.build import solver as build_solver
from zoo.interfaces import Flow, Solver
from zoo.interfaces.checks import all_finite
from zoo.interfaces.solver import StepCallback
from zoo.sampling.progress import bar

P = ParamSpec("P")
R = TypeVar("R")


def arguments_of(
    other: Callable[P, object], *, without: str
) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Give a method the arguments of another one, but for one of them; they are written once."""
    full = inspect.signature(other)
    kept = [p for p in full.parameters.values() if p.name != without]

    def named(method: Callable[..., R]) -> Callable[P, R]:
        own = inspect.signature(method).return_annotation
        signature = full.replace(parameters=kept, return_annotation=own)
        vars(method)["__signature__"] = signature
        return cast(Callable[P, R], method)

    return named


@dataclass(frozen=True)
class Trajectory:
    """n samples after each of the solver's steps.

    Under a solver that chooses the steps of each sample or batch, t is the time of the sample that
    is furthest behind: the others are ahead of it, and stay at 0 once they have arrived.

    Attributes:
        t: times (S,), float64, from t_max down to t_min, and then 0; S = 0 if none were kept.
        x: states x_t, shape (S, n, *shape), float64, on the CPU; the last are the samples.
        samples: as `FieldModel.sample` returns them, shape (n, *shape), float32.
        nfe: evaluations of the network, in the batch that took most.
    """

    t: Tensor
    x: Tensor
    samples: Tensor
    nfe: int

    @property
    def rms(self) -> Tensor:
        """The root mean square coordinate of each state, |x_t| / sqrt(d), shape (S, n)."""
        return self.x.flatten(2).square().mean(dim=2).sqrt()


class Batch(NamedTuple):
    """Samples that are integrated together.

    Attributes:
        states: (t, x_t) before the end, x_t (B, *shape); empty if not kept.
        end: data (B, *shape), float32, on the CPU.
        nfe: evaluations of the network.
    """

    states: list[tuple[float, Tensor]]
    end: Tensor
    nfe: int


def join_batches(batches: Sequence[Batch], rows: slice, samples: Tensor) -> Trajectory:
    """Return the trajectory of some rows of all batches.

    Batches may have taken different numbers of steps: the shorter ones stay where they end.

    `samples` (n, *shape) are those of these rows, the last state.
    """
    nfe = max(batch.nfe for batch in batches)
    steps = max(len(batch.states) for batch in batches)
    if not steps:
        none = torch.empty(0, dtype=torch.float64)
        return Trajectory(none, none.reshape(0, *samples.shape), samples, nfe)
    times = torch.zeros(len(batches), steps + 1, dtype=torch.float64)
    states = torch.empty(steps + 1, *samples.shape, dtype=torch.float64)
    for i in range(steps):
        at = [b.states[i] if i < len(b.states) else (0.0, b.end.double()) for b in batches]
        times[:, i] = torch.tensor([t for t, _ in at], dtype=torch.float64)
        states[i] = torch.cat([x for _, x in at])[rows]
    states[-1] = samples
    return Trajectory(times.amax(dim=0), states, samples, nfe)


def integrate_to_data(
    solver: Solver, flow: Flow, x: Tensor, steps: int, callback: StepCallback | None = None
) -> Tensor:
    """Return data from x_T by `Solver.to_data`, finite.

    x is the state at t_max, shape (B, *). callback(i, t, x) is called after every step, the last
    one at t = 0.

    Raises:
        ZooError: the state ceased to be finite; names t.
    """
    data = solver.to_data(flow, x, steps=steps, callback=callback)
    if callback is not None:
        callback(steps - 1, 0.0, data)
    if not all_finite(data):
        flow.guard = True  # once more, checking every evaluation, to name the time
        solver.to_data(flow, x, steps=steps)
        raise ZooError("the samples are not finite")
    return data


def progress_bar(n: int, steps: int, shown: bool) -> tqdm[Any]:
    """Return a bar of n samples' steps, quiet unless shown on a terminal."""
    return bar(total=n * steps, unit="step", unit_scale=1 / n, shown=shown)


class IntegrationBar:
    """A bar of samples that are integrated from one time to another, whatever steps they take.

    `after_step` is the callback of `Solver.integrate`. A sample counts by the part of the
    interval of log t that is behind it.

    Args:
        n: number of samples.
        ends: first time and last.
        shown: whether it is shown, on a terminal.
    """

    def __init__(self, n: int, ends: tuple[float, float], shown: bool) -> None:
        self._bar = bar(total=n, unit="sample", unit_scale=True, shown=shown)
        self._from, self._whole = ends[0], math.log(ends[1] / ends[0])
        self._done, self._size = 0.0, n

    def __enter__(self) -> IntegrationBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def batch(self, size: int) -> None:
        """Begin with so many of the samples, the next ones."""
        self._done, self._size = 0.0, size

    def after_step(self, step: int, t: float, x: Tensor) -> None:
        """Move to the time t of the batch."""
        del step, x
        done = math.log(t / self._from) / self._whole
        self._bar.update(self._size * (done - self._done))
        self._done = done


# Each step is right to this, in standard deviations of the data.
TOLERANCE = 7e-6


def accurate_solver(dtype: torch.dtype) -> Solver:
    """Return exp-adaptive at `TOLERANCE`, or at the rounding of a field of this dtype.

    Integrating images there and back has an error of about the tolerance.
    """
    return build_solver("exp-adaptive", tol=max(TOLERANCE, torch.finfo(dtype).eps))

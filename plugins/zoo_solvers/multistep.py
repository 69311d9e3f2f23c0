"""Linear multistep methods: the last states and the last values, weighted; one evaluation a step.

    x_{i+1} = sum_j a_ij x_{i-j} + sum_j b_ij V_{i-j}

`LinearPart` gives the weights of Adams' formulas along a grid; they are worked out once and kept
for the next batch. A sample whose noise level is random has a grid and weights of its own, which
depend on one number, its level ratio, and are read off a table.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.interfaces import FEW_STEPS, LARGEST_RATIO, LEAST_RATIO, Flow, GridSolver
from zoo_solvers.linear import Evaluation, LinearPart, Number, combine, level_ratio

# Intervals of the table by level ratio, equally wide in its logarithm: 1/32.
INTERVALS = 442
_LEAST = math.log(LEAST_RATIO)
_WIDTH = (math.log(LARGEST_RATIO) - _LEAST) / INTERVALS


class Weights(NamedTuple):
    """The weights a_ij of the states and b_ij of the values, newest first, (steps, count, ...)."""

    states: Tensor
    values: Tensor


class Step(NamedTuple):
    """One step: its ends and its weights; one number for all samples, or one per sample."""

    t: Number
    t_next: Number
    states: Sequence[Number]
    values: Sequence[Number]


@dataclass
class _Kept:
    """What batches of one model share; the last is kept."""

    times: list[float]
    sigma_data: float | None
    typical: float | None  # noise, where samples have levels of their own
    steps: list[Step] | None = None
    table: LevelTable | None = None


class Multistep(GridSolver):
    """A leaf says what is evaluated, and which weights the evaluations get."""

    _kept: _Kept | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_kept"}

    @abstractmethod
    def evaluation(self, flow: Flow) -> Evaluation:
        """Return the function V of (x, t) whose values are weighted; one evaluation."""

    @abstractmethod
    def weights(self, flow: Flow, times: Tensor, ratio: Tensor | None) -> Weights:
        """Return the weights along times, (steps + 1,), or (steps + 1, B) with level ratios."""

    def typical(self, flow: Flow, t: float) -> float | None:
        """Return the typical noise at t where samples have grids of their own; None where not."""
        del flow, t
        return None

    def states(self, flow: Flow, x: Tensor, times: list[float]) -> Iterator[Tensor]:
        """Yield the state after every step, shape (B, *)."""
        evaluate = self.evaluation(flow)
        newest = evaluate(x, times[0])
        steps = self.steps(flow, x, newest, times)
        states = deque([x], maxlen=len(steps[0].states))
        values = deque([newest], maxlen=len(steps[0].values))
        # Not where it would become the state itself; accelerators keep freed memory by themselves.
        reuse = newest.dtype != x.dtype and x.device.type == "cpu"
        work = torch.empty_like(newest) if reuse and not torch.is_grad_enabled() else None
        for i, step in enumerate(steps):
            if i:
                values.appendleft(evaluate(states[0], step.t))
            states.appendleft(combine(states, step.states, values, step.values, work))
            yield states[0]

    def steps(self, flow: Flow, x: Tensor, value: Tensor, times: list[float]) -> list[Step]:
        """Return the steps along a grid from states x, (B, *), with evaluations `value` there."""
        kept = self._kept
        if kept is None or kept.times is not times or kept.sigma_data != flow.sigma_data:
            kept = _Kept(times, flow.sigma_data, self.typical(flow, times[0]))
            self._kept = kept
        if kept.typical is None:
            if kept.steps is None:
                weights = self.weights(flow, torch.tensor(times, dtype=torch.float64), None)
                kept.steps = steps_along(times, weights, x, value)
            return kept.steps

        ratio = level_ratio(kept.typical, x, value)
        count = len(times) - 1
        times_of = partial(self.grid.times, flow.kernel, times[0], times[-1], count)
        # Many steps work out the weights of their own samples: few for each of their evaluations.
        if count > FEW_STEPS or ratio.requires_grad:
            # Where the state is lost its times are sound and its weights are not: it stays lost.
            own = times_of(ratio.nan_to_num(1.0))
            weights = self.weights(flow, own, ratio)
        else:
            if kept.table is None or kept.table.device != ratio.device:
                kept.table = LevelTable(times_of, partial(self.weights, flow), ratio.device)
            own, weights = kept.table.look_up(ratio)
        return steps_along(flow.prepare_times(own), weights, x, value)


def steps_along(
    times: Sequence[Number], weights: Weights, state: Tensor, value: Tensor
) -> list[Step]:
    """Return steps whose weights multiply states and values like these."""
    rows = zip(_rows(weights.states, state), _rows(weights.values, value), strict=True)
    return [Step(times[i], times[i + 1], *row) for i, row in enumerate(rows)]


def _rows(table: Tensor, like: Tensor) -> Sequence[Sequence[Number]]:
    """Return what multiplies tensors like `like`, (B, *), in every step: floats, or (B, 1, ...)."""
    steps, count, *batch = table.shape
    if not batch:
        rows: list[list[Number]] = table.tolist()
        return rows
    flat = table.to(like.dtype).reshape(steps * count, *batch, *(1,) * (like.ndim - 1)).unbind()
    return [flat[i : i + count] for i in range(0, len(flat), count)]


def adams(part: LinearPart, predictor: int, corrector: int = 0) -> Tensor:
    """Return the weights of the values at i, i - 1, ... in step i, shape (steps, count, ...).

    Step i ends at a prediction by the last `predictor` values (Adams-Bashforth). Once the value
    there is known, `corrector` values with it (Adams-Moulton) would move the point by
    delta_i = corrector_i - predictor_i, weights of the values at i + 1, i, ... Step i + 1 starts
    from the corrected point, so its weights gain decay delta_i: the corrected points need never
    be formed, and the corrector costs neither an evaluation nor a pass over the state. One that
    has no more values than the predictor corrects the first step, of one value, alone. The last
    step's prediction stands.
    """
    table = part.weights(range(0, -predictor, -1))
    if not corrector:
        return table
    count = min(part.steps if corrector > predictor else 1, part.steps - 1)
    delta = part.weights(range(1, 1 - corrector, -1))[:count]
    width = max(predictor, corrector)
    table, delta = (
        pad(weights, (0, 0) * (weights.ndim - 2) + (0, width - weights.shape[1]))
        for weights in (table, delta)
    )
    delta[:, 1:] -= table[:count, :-1]
    table[1 : count + 1].addcmul_(part.decay[1 : count + 1, None], delta)
    return table


# Steps of samples with levels of their own


class LevelTable:
    """Times and weights by level ratio, worked out for all ratios at once.

    The ratios are cut into intervals, equally wide in their logarithm. Samples in one interval are
    evaluated at the same times, those of its middle. Their weights at these times are right for a
    ratio at either end of the interval, and linear in its logarithm between.

    Args:
        times_of: from ratios (B,) to times, (steps + 1, B).
        weights_of: from times, and ratios that need not be those of the times, to weights.
        device: where the ratios are.
    """

    @torch.no_grad()
    def __init__(
        self,
        times_of: Callable[[Tensor], Tensor],
        weights_of: Callable[[Tensor, Tensor], Weights],
        device: torch.device,
    ) -> None:
        self.device = device
        number = torch.arange(INTERVALS, dtype=torch.float64, device=device)
        low, middle, high = ((_LEAST + _WIDTH * (number + part)).exp() for part in (0, 0.5, 1))
        times = times_of(middle)
        ends = weights_of(times, low), weights_of(times, high)
        self._steps, self._states = ends[0].states.shape[:2]
        # A row per interval: its times, the weights at its low end, and those at its high end.
        weights = [torch.cat(end, dim=1).flatten(0, 1) for end in ends]
        self._rows = torch.cat([times, *weights]).T.contiguous()

    def look_up(self, ratio: Tensor) -> tuple[Tensor, Weights]:
        """Return the times, (steps + 1, B), and the weights of samples with ratios (B,)."""
        position = (ratio.log() - _LEAST) / _WIDTH
        # A ratio that is not a number gets an interval, and weights that are no numbers either.
        number = position.long().clamp_(0, INTERVALS - 1)
        rows = self._rows.index_select(0, number).T
        times, ends = rows[: self._steps + 1], rows[self._steps + 1 :]
        low, high = ends[: len(ends) // 2], ends[len(ends) // 2 :]
        table = torch.lerp(low, high, position - number).reshape(self._steps, -1, len(ratio))
        return times, Weights(table[:, : self._states], table[:, self._states :])

"""The steps of few-step students: exponential Euler through given levels, the last one to data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import FieldKernel, Flow, Grid, check_positive
from zoo_solvers.adams import DDIM
from zoo_solvers.linear import combine, exponential_part, marginal, scale_of
from zoo_solvers.multistep import Weights
from zoo_solvers.own_steps import OwnSteps

# More evaluations are worth a better method than a student.
MOST = 16
# Nodes of one sample are so far apart at least, as ratios of its levels.
_APART = 0.9
# Where the weight of D in a step is less than this, D hardly matters to it.
_LEAST_GAIN = 1e-3


class Nodes(Grid):
    """t_max, and the times of given levels; then t_min, where as many steps are asked for.

    Every sample's nodes are at levels of its own. One that never has such a level has its nodes as
    near to it as they can be apart: a ratio of 0.9, the first of them below t_max.

    Args:
        levels: of a typical sample, decreasing.

    Raises:
        ZooError: levels that a typical sample never has, or nearer than that to its ends.
    """

    def __init__(self, levels: Sequence[float]) -> None:
        self.levels = torch.tensor(levels, dtype=torch.float64)

    def _times(self, kernel: FieldKernel, ends: Tensor, steps: int, ratio: Tensor | None) -> Tensor:
        own = torch.ones((), dtype=torch.float64) if ratio is None else ratio
        shape = (-1, *(1,) * own.ndim)
        high, low = (kernel.level(end).to(own) * own for end in ends)
        levels = self.levels.to(own).reshape(shape)
        number = torch.arange(1, len(levels) + 1, dtype=own.dtype, device=own.device).reshape(shape)
        above, below = low * _APART ** (number - len(levels) - 1), high * _APART**number
        if ratio is None and not bool(((levels <= below) & (levels >= above)).all()):
            shown = ", ".join(f"{level:.3g}" for level in self.levels.tolist())
            raise ZooError(
                f"levels {shown} do not fit {type(kernel).__name__}, whose levels are "
                f"{float(high):.3g} to {float(low):.3g}: they have to lie between "
                f"{float(below[0]):.3g} and {float(above[-1]):.3g}, each at most {_APART} of the "
                "one before where they are near these ends"
            )
        inside = kernel.time_at(torch.minimum(levels.maximum(above), below) / own)
        start, end = ends.to(own).reshape(2, 1, *(1,) * own.ndim).expand(2, 1, *own.shape)
        return torch.cat([start, inside, end] if steps > len(levels) else [start, inside])


class FlowMap(OwnSteps, DDIM):
    """`ddim` on nodes t_max and given levels; the step to data is D at the last node.

    With D_i the network at node i,

        x_{i+1} = decay_i x_i + gain_i D_i,   x_N = D_{N-1}

    exact where D is constant between nodes. `zoo distill` trains a network to say such D_i that
    every step ends where its teacher's ODE does: a map along the flow (arXiv:2406.07507).

    Args:
        levels: at most 15 decreasing noise levels of the evaluations after the first, which is at
            t_max: as many evaluations and one make a sample.

    Raises:
        ZooError: other options; integrating, another number of steps or another interval.
    """

    name = "flow-map"

    def __init__(self, *, levels: Sequence[float]) -> None:
        if not isinstance(levels, Sequence) or isinstance(levels, str):
            raise ZooError("levels is no list; expected decreasing noise levels")
        if len(levels) >= MOST:
            raise ZooError(f"levels has {len(levels)} numbers; expected at most {MOST - 1}")
        self.own_steps = len(levels) + 1
        known = [check_positive("a level", level) for level in levels]
        if any(later >= earlier for earlier, later in pairwise(known)):
            raise ZooError("levels must decrease strictly, from noise to data")
        super().__init__()
        self.grid = Nodes(known)

    def weights(self, flow: Flow, times: Tensor, ratio: Tensor | None) -> Weights:
        """Return the weights of the steps between nodes, and those of the step to data."""
        alpha, sigma = marginal(flow.kernel, times[:-1])
        own = sigma if ratio is None else sigma * ratio
        part = exponential_part(alpha, own, scale_of(flow, self._scale))
        gains = self.value_weights(part)
        last = torch.ones_like(own[:1])
        decay = torch.cat([part.decay, torch.zeros_like(last)])
        return Weights(decay[:, None], torch.cat([gains, last[:, None]]))

    def errors(self, flow: Flow, x: Tensor, nodes: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield what D errs by at every node, (B, *), in units of the data; with its gradient.

            D_i - D*_i = (x_{i+1} - x*_{i+1}) / gain_i

        D*_i is what would end the step from x_i, where the network itself has come, at x*_{i+1}.
        gain_i is 1e-3 at least: where D hardly matters to the step, its error does not either.
        x_i passes no gradient on, so every error may be differentiated before the next.

        Args:
            flow: of the network that is trained.
            x: states at t_max, (B, *).
            nodes: x*_1, ..., x*_N, (B, *) each, the last of them data.
        """
        kernel, evaluate = flow.kernel, self.evaluation(flow)
        times = self.times_kept(kernel, kernel.t_max, kernel.t_min, self.own_steps)
        x = x.to(flow.state_dtype)
        value = evaluate(x, times[0])
        for i, step in enumerate(self.steps(flow, x, value.detach(), times)):
            value = evaluate(x, step.t) if i else value
            end = combine([x], step.states, [value], step.values)
            gain = torch.as_tensor(step.values[0]).clamp(min=_LEAST_GAIN)
            yield (end - nodes[i]) / gain.to(end)
            x = end.detach()

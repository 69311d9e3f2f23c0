"""Adams-Bashforth in log t: x' = x + integral of the polynomial through the last t f(x, t).

Variable steps; Hairer, Norsett and Wanner, Solving ODEs I, section III.5. The first step is
corrected by the trapezoidal rule once the second slope is known, so no evaluation is added.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import Flow
from zoo_solvers.linear import Evaluation, drift_and_gain, evaluation, no_linear_part
from zoo_solvers.multistep import Multistep, Weights, adams


class AB2(Multistep):
    """Two values of dx/du = t f(x, t), u = log t."""

    order = 2

    def evaluation(self, flow: Flow) -> Evaluation:
        """Return V of f = drift x + gain V; the factors are in the weights."""
        return evaluation(flow)

    def weights(self, flow: Flow, times: Tensor, ratio: Tensor | None) -> Weights:
        """Return the weights of the states and of V; of one state if drift is 0."""
        del ratio
        part = no_linear_part(times.log())
        slopes = adams(part, self.order, corrector=2)
        factors = [drift_and_gain(flow.kernel, t) for t in times.tolist()]
        drift, gain = times * torch.tensor(factors, dtype=times.dtype).T
        states, values = slopes.clone(), slopes
        for back in range(self.order):
            states[back:, back] *= drift[: part.steps - back]
            values[back:, back] *= gain[: part.steps - back]
        states[:, 0] += 1
        return Weights(states if drift.any() else states[:, :1], values)


class AB3(AB2):
    """Three values of dx/du = t f(x, t), u = log t."""

    order = 3

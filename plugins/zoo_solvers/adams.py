"""Adams' methods: exponential, the linear part exact and the denoiser D interpolated; in log t.

Variable steps: Hairer, Norsett and Wanner, Solving ODEs I, section III.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from zoo.interfaces import Flow, GridSpec, ShortStart, check_positive
from zoo_solvers.linear import (
    Evaluation,
    LinearPart,
    combine,
    denoiser,
    drift_and_gain,
    evaluation,
    exponential_part,
    marginal,
    scale_of,
    typical_noise,
)
from zoo_solvers.multistep import Multistep, Weights, adams


class Exponential(Multistep):
    """Adams' methods on the values of the denoiser D.

    Options:
        grid: "focus", uniform in asinh(log(level / pivot) / width), with pivot 3 and width 0.5; or
            any other that `heun` takes.
        scale: standard deviation of the data, in data units; by default the model's sigma_data.

    Attributes:
        predictor: number of values that predict.
        corrector: number of values that correct, see `adams`; 0 for none.
    """

    predictor: int
    corrector: int

    def __init__(self, *, grid: GridSpec = "focus", scale: float | None = None) -> None:
        super().__init__(grid=grid)
        self._scale = None if scale is None else check_positive("scale", scale)

    def evaluation(self, flow: Flow) -> Evaluation:
        """Return the denoiser."""
        return denoiser(flow)

    def weights(self, flow: Flow, times: Tensor, ratio: Tensor | None) -> Weights:
        """Return the weights of the values, and that of the last state, its decay."""
        alpha, sigma = marginal(flow.kernel, times)
        own = sigma if ratio is None else sigma * ratio
        part = exponential_part(alpha, own, scale_of(flow, self._scale))
        return Weights(part.decay[:, None], self.value_weights(part))

    def value_weights(self, part: LinearPart) -> Tensor:
        """Return the weights of D_i, D_{i-1}, ... in step i, shape (steps, count, ...)."""
        return adams(part, self.predictor, self.corrector)

    def typical(self, flow: Flow, t: float) -> float | None:
        """Return the typical |x - D| at t where the level of a sample is random."""
        return typical_noise(flow.kernel, t)


class DDIM(Exponential):
    """Exponential Euler: D constant over a step. DDIM, arXiv:2010.02502, for any kernel."""

    order, predictor, corrector = 1, 1, 0


class ExpAB2(Exponential):
    """Exponential Adams-Bashforth of two values; DPM-Solver++(2M), arXiv:2211.01095, at scale 0."""

    order, predictor, corrector = 2, 2, 2


class ExpAB3(Exponential):
    """Exponential Adams-Bashforth of three values; the first step is corrected afterwards."""

    order, predictor, corrector = 3, 3, 2


class ExpABM3(Exponential):
    """Exponential Adams-Bashforth-Moulton: two values predict, three correct.

    The corrector uses the evaluation that the next step needs anyway (PEC, as in UniPC,
    arXiv:2302.04867), so a step costs one evaluation.
    """

    order, predictor, corrector = 3, 2, 3


class ExpABM4(Exponential):
    """Exponential Adams-Bashforth-Moulton: three values predict, four correct, as in `ExpABM3`.

    Better than that where steps are short against what the denoiser does: by 20 evaluations or so.
    A grid by name gets a start that is worth the order; a list of levels is taken as it is.
    """

    order, predictor, corrector = 4, 3, 4

    def __init__(self, *, grid: GridSpec = "focus", scale: float | None = None) -> None:
        super().__init__(grid=grid, scale=scale)
        if isinstance(grid, str | Mapping):
            self.grid = ShortStart(self.grid)


class ExpHeun(Exponential):
    """Exponential Euler, then D linear between the step's two ends: two evaluations a step."""

    order, stages = 2, 2

    def value_weights(self, part: LinearPart) -> Tensor:
        """Return the weight of D_i in the predictor, then of D_{i+1}, D_i in the corrector."""
        return torch.cat([part.weights([0]), part.weights([1, 0])], dim=1)

    def states(self, flow: Flow, x: Tensor, times: list[float]) -> Iterator[Tensor]:
        """Yield the state after every step, shape (B, *)."""
        denoise = self.evaluation(flow)
        here = denoise(x, times[0])
        for i, step in enumerate(self.steps(flow, x, here, times)):
            if i:
                here = denoise(x, step.t)
            ahead = denoise(combine([x], step.states, [here], step.values[:1]), step.t_next)
            x = combine([x], step.states, [ahead, here], step.values[1:])
            yield x


class AB2(Multistep):
    """Two values of dx/du = t f(x, t), u = log t: x' = x + integral of their polynomial.

    The first step is corrected by the trapezoidal rule once the second slope is known, so no
    evaluation is added.
    """

    order = 2

    def evaluation(self, flow: Flow) -> Evaluation:
        """Return V of f = drift x + gain V; the factors are in the weights."""
        return evaluation(flow)

    def weights(self, flow: Flow, times: Tensor, ratio: Tensor | None) -> Weights:
        """Return the weights of the states and of V; of one state if drift is 0."""
        del ratio
        # x' = x + integral of V du: V = dx/du is interpolated in u itself.
        u = times.log()
        part = LinearPart(u, torch.ones_like(u), torch.ones_like, lambda u: u)
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

"""Euler's and Heun's methods in t, with churn or without, and the classical one in log t."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import Flow, GridSolver, GridSpec, check_positive
from zoo_solvers.linear import (
    combine,
    drift_and_gain,
    evaluation,
    field,
    level_ratio,
    typical_noise,
)

_LARGEST_GAMMA = math.sqrt(2) - 1


class Euler(GridSolver):
    """Forward Euler in t, x' = x + h (drift x + gain V), h = t' - t: one evaluation a step.

    For a self-similar kernel this is DDIM: x' = D + (t'/t) (x - D), arXiv:2010.02502.
    """

    order = 1

    def step(self, flow: Flow, x: Tensor, t: float, t_next: float) -> Tensor:
        """Return x + h (drift x + gain V), shape (B, *)."""
        h = t_next - t
        drift, gain = drift_and_gain(flow.kernel, t)
        return combine([x], [1 + h * drift], [evaluation(flow)(x, t)], [h * gain])


class Heun(GridSolver):
    """Heun's trapezoidal method in t: an Euler step, then the mean of the slopes at its two ends.

        d = f(x, t),   x~ = x + h d,   x' = x + h (d + f(x~, t')) / 2,   h = t' - t

    Source: EDM, arXiv:2206.00364, algorithm 1. Two evaluations a step; the last Euler step of that
    algorithm, from t_min to 0, is the model's final denoising, so N = 18 there is 17 steps here.
    """

    order, stages = 2, 2

    def step(
        self, flow: Flow, x: Tensor, t: float, t_next: float, here: Tensor | None = None
    ) -> Tensor:
        """Return the state at t_next, shape (B, *); `here` is V(x, t) where it is known already."""
        evaluate = evaluation(flow)
        drift, gain = drift_and_gain(flow.kernel, t)
        drift_next, gain_next = drift_and_gain(flow.kernel, t_next)
        h = t_next - t
        grow, add = 1 + h * drift, h * gain
        here = evaluate(x, t) if here is None else here
        ahead = evaluate(combine([x], [grow], [here], [add]), t_next)
        # x + h (d + d~) / 2 with d = drift x + gain V and x~ = grow x + add V.
        on_x = 1 + h / 2 * (drift + drift_next * grow)
        return combine(
            [x], [on_x], [here, ahead], [h / 2 * (gain + drift_next * add), h / 2 * gain_next]
        )


class HeunChurn(Heun):
    """EDM's stochastic sampler: before every step new noise raises a sample's noise a little.

        s^ = (1 + gamma) s,   gamma = min(s_churn / N, sqrt 2 - 1) for s_min <= s <= s_max
        x^ = (alpha^ / alpha) x + alpha^ sqrt(s^2^ - s^2) s_noise n,   n ~ N(0, I)

    then Heun's step from s^ on; s is the noise level sigma / alpha, for kernels of random level the
    sample's own. Old errors are forgotten with the old noise. Source: EDM, arXiv:2206.00364,
    algorithm 2, where N is one more than the steps to t_min: it counts the last one, to t = 0,
    which adds no noise here. The level never leaves the interval: at its start there is no churn.
    With s_churn = 0, and from data to noise, it is `heun`.

    The law of the samples is kept under Gaussian paths, and under gravity and PFGM++ as long as a
    state shows its own noise level, which every sample keeps (other isotropic kernels are close to
    that in many dimensions). It does above the data's spread: there `s_min` of twice their standard
    deviation keeps the law, while churn down to 0 makes distances from the mean of Gaussian data
    vary 1.7 times as much (PFGM++, 784 dimensions, s_churn = 40, 100 steps). The noise is
    `Flow.noise`: a model's sample i gets noise that depends on (seed, i) alone.

    Options:
        s_churn: amount of noise, all steps together; EDM's own sampling takes 0 to 80.
        s_min, s_max: noise levels between which there is churn, in data units.
        s_noise: standard deviation of the new noise; EDM takes 1 to 1.007.
        grid: as for `heun`.

    Raises:
        ZooError: an option out of range; integrating, a kernel without one noise level per sample.
    """

    def __init__(
        self,
        *,
        s_churn: float = 0.0,
        s_min: float = 0.0,
        s_max: float = math.inf,
        s_noise: float = 1.0,
        grid: GridSpec = "edm",
    ) -> None:
        super().__init__(grid=grid)
        for name, value in (("s_churn", s_churn), ("s_min", s_min)):
            if value != 0:
                check_positive(name, value)
        if not s_max > s_min:
            raise ZooError(f"s_max = {s_max!r}; expected a level above s_min = {s_min!r}")
        self._churn, self._least, self._most = float(s_churn), float(s_min), float(s_max)
        self._noise = check_positive("s_noise", s_noise)

    def states(self, flow: Flow, x: Tensor, times: list[float]) -> Iterator[Tensor]:
        """Yield the state after every step, shape (B, *)."""
        if not self._churn or times[-1] > times[0]:
            yield from super().states(flow, x, times)
            return
        if not flow.kernel.affine_path:
            raise ZooError(
                f"heun-churn adds noise of one level per sample, which {type(flow.kernel).__name__}"
                " does not have; use heun"
            )
        typical, here, ratio = typical_noise(flow.kernel, times[0]), None, None
        if typical is not None:
            here = flow.denoise(x, times[0])  # the first step's evaluation
            ratio = level_ratio(typical, x, here)
        raised = self._raised(flow, times)
        for i, (t, t_next) in enumerate(pairwise(times)):
            if raised[i] > t:
                x = self._add_noise(flow, x, (t, raised[i]), ratio, flow.noise(i, x))
            x, here = self.step(flow, x, raised[i], t_next, here), None
            yield x

    def _raised(self, flow: Flow, times: list[float]) -> list[float]:
        """Return the times to which the steps go up before they go down."""
        level = flow.kernel.level(torch.tensor(times[:-1], dtype=torch.float64))
        steps = len(level) + 1  # EDM counts the last one too, from t_min to 0
        gamma = min(self._churn / steps, _LARGEST_GAMMA)
        up = flow.kernel.time_at((level * (1 + gamma)).clamp(max=float(level[0])))
        churned = (level >= self._least) & (level <= self._most)
        return [
            min(max(raised, t), times[0]) if churn else t
            for raised, t, churn in zip(up.tolist(), times, churned.tolist(), strict=False)
        ]

    def _add_noise(
        self, flow: Flow, x: Tensor, rise: tuple[float, float], ratio: Tensor | None, noise: Tensor
    ) -> Tensor:
        """Return x with noise added from the level of rise[0] to that of rise[1]."""
        at = torch.tensor(rise, dtype=torch.float64, device=x.device)
        alpha, sigma = (v.to(x) for v in flow.kernel.marginal(at))
        keep = alpha[1] / alpha[0]
        amount = (sigma[1].square() - (keep * sigma[0]).square()).clamp(min=0).sqrt()
        amount = amount * self._noise
        return flow.noised(x, keep, amount if ratio is None else amount * ratio, noise)


class RK4(GridSolver):
    """The classical Runge-Kutta method in u = log t, four evaluations a step.

        k1 = g(u, x),               k2 = g(u + h/2, x + h/2 k1),
        k3 = g(u + h/2, x + h/2 k2),  k4 = g(u + h, x + h k3),
        x' = x + h (k1 + 2 k2 + 2 k3 + k4) / 6,   g(u, x) = t f(x, t)

    The middle of a step in u is the geometric mean of its times.
    """

    order, stages = 4, 4

    def step(self, flow: Flow, x: Tensor, t: float, t_next: float) -> Tensor:
        """Return the state at t_next, shape (B, *); the slopes f are those of k by t."""
        h, middle = math.log(t_next / t), math.sqrt(t * t_next)
        f1 = field(flow, x, t)
        f2 = field(flow, torch.add(x, f1, alpha=h / 2 * t), middle)
        f3 = field(flow, torch.add(x, f2, alpha=h / 2 * middle), middle)
        f4 = field(flow, torch.add(x, f3, alpha=h * middle), t_next)
        inner = (f2 + f3).mul_(2 * middle).add_(f1, alpha=t).add_(f4, alpha=t_next)
        return torch.add(x, inner, alpha=h / 6)

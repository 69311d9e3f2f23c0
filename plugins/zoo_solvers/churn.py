"""Heun with churn: before every step a sample's noise is raised a little, by new noise.

    s^ = (1 + gamma) s,   gamma = min(s_churn / N, sqrt 2 - 1) for s_min <= s <= s_max
    x^ = (alpha^ / alpha) x + alpha^ sqrt(s^2^ - s^2) s_noise n,   n ~ N(0, I)

then Heun's step from s^ on; s is the noise level sigma / alpha, for kernels of random level the
sample's own. Old errors are forgotten with the old noise. Source: EDM, arXiv:2206.00364,
algorithm 2. The level never leaves the interval: at its start there is no churn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import Flow, GridSpec, check_positive
from zoo_solvers.heun import Heun
from zoo_solvers.linear import has_linear_part, level_ratio, typical_noise

_LARGEST_GAMMA = math.sqrt(2) - 1


class HeunChurn(Heun):
    """EDM's stochastic sampler; with s_churn = 0, and from data to noise, it is `heun`.

    The law of the samples is kept under Gaussian paths, and under gravity and PFGM++ as long as a
    state tells its own noise level, which every sample keeps (other isotropic kernels are close to
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
        if not has_linear_part(flow.kernel):
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
        gamma = min(self._churn / len(level), _LARGEST_GAMMA)
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

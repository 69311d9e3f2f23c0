"""A clock for steps of each sample's own size: log of the level, finite where that is infinite.

With psi = asinh(scale alpha / sigma), alpha and sigma those of the kernel's linear part, the clock
is tau = log(sinh psi + scale / LEVEL_CAP): log level with its sign turned, up to the cap.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel
from zoo_solvers.grids import LEVEL_CAP
from zoo_solvers.linear import is_scalar, marginal

# Where the field is flat an error estimate sees nothing coming: no step of the clock is longer.
LONGEST_STEP = 1.5
# A step below this share of the way is lost in rounding.
LEAST_STEP = 1e-10


class Clock:
    """Runs down from `way` to 0 along a walk.

    `left`, shape (B,), is what the clock of some samples has left and `place`, shape (B,), which
    samples of the walk they are.

    Args:
        kernel: of the walk.
        share: each sample's own level over the typical one, shape (samples,); None where t
            determines it.
        x: the samples, for their number, dtype and device.
        ends: t where the walk begins, and where it ends.
        scale: standard deviation of the data, in data units.

    Attributes:
        way: what every sample's clock runs, shape (samples,).
        scale: of the data.
        shift: scale / LEVEL_CAP.
        sign: 1 where t decreases, -1 where it grows.
    """

    def __init__(
        self,
        kernel: FieldKernel,
        share: Tensor | None,
        x: Tensor,
        ends: tuple[float, float],
        scale: float,
    ) -> None:
        self._kernel, self.scale, self.shift = kernel, scale, scale / LEVEL_CAP
        self._share = x.new_ones(len(x)) if share is None else share
        t_from, self._to = ends
        self._low, self._high = sorted(ends)
        alpha, sigma = marginal(kernel, x.new_tensor(ends)[:, None])
        tau = (scale * alpha / (sigma * self._share) + self.shift).log()
        self._end = tau[1]
        self.way = (tau[0] - tau[1]).abs()
        self.sign = 1.0 if self._to < t_from else -1.0

    def ratio(self, left: Tensor, place: Tensor) -> Tensor:
        """Return sinh psi = scale / level, the sample's own, shape (B,)."""
        tau = self._end[place] - self.sign * left
        return (tau.exp() - self.shift).clamp(min=0.0)

    def time(self, left: Tensor, place: Tensor) -> Tensor:
        """Return t, shape (B,), never outside the walk."""
        level = self.scale / (self.ratio(left, place) * self._share[place])
        if is_scalar(self._kernel):
            level = self._kernel.time_at(level).to(left)
        return torch.where(left > 0, level.clamp(self._low, self._high), self._to)

    def marginal(self, left: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha and the sample's own sigma, shapes (B,)."""
        alpha, sigma = marginal(self._kernel, self.time(left, place))
        return alpha, sigma * self._share[place]

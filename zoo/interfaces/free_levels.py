"""A grid of levels that can be learned: differentiable, and its last node may lie above t_min."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces.grids import GivenLevels
from zoo.interfaces.kernel import FieldKernel

# Relative step of the difference that gives d level / dt.
_SMALL = 1e-4


class FreeLevels(GivenLevels):
    """Through given levels; every sample's last node is at the last level of its own, or at t_min.

    Attributes:
        logs: logarithms of the levels, increasing, float64, (count,); it may require grad.
    """

    def __init__(self, levels: Sequence[float]) -> None:
        super().__init__(levels)
        self.count = len(levels)

    @property
    def logs(self) -> Tensor:
        """Logarithms of the levels, increasing."""
        return self._logs

    @logs.setter
    def logs(self, logs: Tensor) -> None:
        self._logs = logs

    def ends_early(self, kernel: FieldKernel) -> bool:
        """Return whether the last level is above that of t_min."""
        return float(self._logs[0].detach().exp()) > float(kernel.level(kernel.t_min)) * (1 + 1e-9)

    def _times(self, kernel: FieldKernel, ends: Tensor, steps: int, ratio: Tensor | None) -> Tensor:
        if not self.ends_early(kernel) and not self._logs.requires_grad:
            times = super()._times(kernel, ends, steps, ratio)
        else:
            own = torch.ones((), dtype=torch.float64) if ratio is None else ratio
            levels = [kernel.level(end).to(own) * own for end in ends]
            first = self.forward(levels[0].clamp(max=self.cap))
            early = self.ends_early(kernel)
            last = self.forward(levels[1])
            if early:  # at the last level, but for samples that are never there
                last = (first - 0.5).clamp(max=0).maximum(last)
            fraction = torch.arange(1, steps + early, dtype=torch.float64, device=own.device)
            fraction = (fraction / steps).reshape(-1, *(1,) * own.ndim)
            inside = time_at(kernel, self.back(torch.lerp(first, last, fraction)) / own)
            start = ends[:1].to(own).reshape(1, *(1,) * own.ndim).expand(1, *own.shape)
            end = ends[1:].to(own).reshape(1, *(1,) * own.ndim).expand(1, *own.shape)
            times = torch.cat([start, inside, *([] if early else [end])])
        if ratio is None and not bool((times.diff(dim=0) < 0).all()):
            low, high = (float(kernel.level(t)) for t in (kernel.t_min, kernel.t_max))
            last, first = self._logs.detach()[[0, -1]].exp().tolist()
            raise ZooError(
                f"grid levels {first:.3g} to {last:.3g} do not fit {type(kernel).__name__}, whose "
                f"levels are {high:.3g} to {low:.3g}"
            )
        return times


def time_at(kernel: FieldKernel, level: Tensor) -> Tensor:
    """Return kernel.time_at(level), differentiable: dt / dlevel by a difference of levels."""
    t = kernel.time_at(level.detach())
    if not level.requires_grad:
        return t
    low = (t * (1 - _SMALL)).clamp(min=kernel.t_min)
    high = (t * (1 + _SMALL)).clamp(max=kernel.t_max)
    slope = (kernel.level(high) - kernel.level(low)) / (high - low)
    return t + (level - level.detach()) / slope

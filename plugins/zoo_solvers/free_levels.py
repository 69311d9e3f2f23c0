"""A grid of levels that can be learned: differentiable, and its last node may lie above t_min."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import FieldKernel, GivenLevels

# Relative step of the difference that gives d level / dt.
_SMALL = 1e-4


class FreeLevels(GivenLevels):
    """N given levels, for N - 1 steps; of N steps the last is from the last level to t_min.

    Every sample's nodes are at levels of its own. One that is never at the last level, or not at
    most half a step after the first, ends at t_min or there.

    Attributes:
        logs: logarithms of the levels, increasing, float64, (N,); it may require grad.
    """

    least = 1

    def ends_early(self, kernel: FieldKernel) -> bool:
        """Return whether the last level is above that of t_min."""
        return float(self.logs[0].detach().exp()) > float(kernel.level(kernel.t_min)) * (1 + 1e-9)

    def _times(self, kernel: FieldKernel, ends: Tensor, steps: int, ratio: Tensor | None) -> Tensor:
        count, early = len(self.logs), self.ends_early(kernel)
        nodes = self._nodes(kernel, ends, early, ratio)
        if ratio is None and not bool((nodes.diff(dim=0) < 0).all()):
            low, high = (float(kernel.level(t)) for t in (kernel.t_min, kernel.t_max))
            last, first = self.logs.detach()[[0, -1]].exp().tolist()
            raise ZooError(
                f"grid levels {first:.3g} to {last:.3g} do not fit {type(kernel).__name__}, whose "
                f"levels are {high:.3g} to {low:.3g}"
            )
        return (
            nodes if steps < count else torch.cat([nodes, ends[1:].to(nodes).expand_as(nodes[:1])])
        )

    def _nodes(
        self, kernel: FieldKernel, ends: Tensor, early: bool, ratio: Tensor | None
    ) -> Tensor:
        """Return the times of the nodes, (N,) or (N, B)."""
        count = len(self.logs)
        if count == 1:
            return ends[:1] if ratio is None else ends[:1, None].expand(1, len(ratio)).to(ratio)
        if not early and not self.logs.requires_grad:
            return super()._times(kernel, ends, count - 1, ratio)
        own = torch.ones((), dtype=torch.float64) if ratio is None else ratio
        high, low = (kernel.level(end).to(own) * own for end in ends)
        first, last = self.forward(high.clamp(max=self.cap)), self.forward(low)
        if early:
            last = (first - 0.5).clamp(max=0).maximum(last)
        fraction = torch.arange(1, count - 1 + early, dtype=torch.float64, device=own.device)
        fraction = (fraction / (count - 1)).reshape(-1, *(1,) * own.ndim)
        inside = time_at(kernel, self.back(torch.lerp(first, last, fraction)) / own)
        start, end = ends.to(own).reshape(2, 1, *(1,) * own.ndim).expand(2, 1, *own.shape)
        return torch.cat([start, inside] if early else [start, inside, end])


def time_at(kernel: FieldKernel, level: Tensor) -> Tensor:
    """Return kernel.time_at(level), differentiable: dt / dlevel by a difference of levels."""
    t = kernel.time_at(level.detach())
    if not level.requires_grad:
        return t
    low = (t * (1 - _SMALL)).clamp(min=kernel.t_min)
    high = (t * (1 + _SMALL)).clamp(max=kernel.t_max)
    slope = (kernel.level(high) - kernel.level(low)) / (high - low)
    return t + (level - level.detach()) / slope

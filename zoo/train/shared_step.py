"""The step of an optimiser, shared among processes: each makes its own part and tells the others.

A parameter's gradient is needed by the process that steps it alone, so half of what exchanging all
of them would send is enough, and a step that orthogonalises matrices (Muon) is made once, not once
in each process. Who makes which part changes no bit of it. Source: ZeRO, stage 2, arXiv:1910.02054,
section 5.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.world import World, cut, flattened

# What a step costs whatever the size, in products of two numbers: fitted to Muon's times on a core.
_BEGIN_MATRIX, _BEGIN_VECTOR = 5_000_000, 250_000


class SharedStep:
    """An optimiser whose parameters are dealt out to the processes.

    Args:
        optimizer: over all parameters, in every process; what it remembers of a parameter is true
            in the process that steps it, and nowhere else.
        world: the processes.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, world: World) -> None:
        self.optimizer, self.world = optimizer, world
        self._all: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
        self._stepped = False
        self._dealt = dealt([_cost(p) for p in self._all], world.size)
        self._parts = [[self._all[k] for k in part] for part in self._dealt]

    def exchange(self, loss: Tensor, clip: float) -> tuple[Tensor, Tensor]:
        """Average loss and gradients over the processes; scale these to a norm of at most `clip`.

        Returns the loss and the gradients' norm before, scalars. Afterwards each process has the
        gradients of its own parameters and no others; a parameter without one has gradient 0.
        """
        gradients = [[_gradient(p) for p in part] for part in self._parts]
        own = self.world.sum_of_own([flattened(part, self.world.device) for part in gradients])
        own /= self.world.size
        sums = self.world.sum(torch.stack([loss / self.world.size, own.square().sum()]))
        norm = sums[1].sqrt()
        own *= (clip / (norm + 1e-6)).clamp(max=1)
        for parameter in self._all:
            parameter.grad = None
        part = self._parts[self.world.rank]
        for parameter, piece in zip(part, cut(own, part), strict=True):
            parameter.grad = piece
        return sums[0], norm

    def step(self) -> None:
        """Make a step with what `exchange` left; afterwards all processes have all parameters."""
        self.optimizer.step()
        self._stepped = True
        self.world.tell(self._parts)

    def state_dict(self) -> dict[str, Any] | None:
        """Return the optimiser's state as one process alone would have it; None but in the first.

        All processes have to ask for it at once, but before the first step, when all have it.
        """
        state = self.optimizer.state_dict()
        if not self._stepped:
            return state if self.world.first else None
        known = state["state"]
        own = {k: _on_cpu(known[k]) for k in self._dealt[self.world.rank] if k in known}
        found = self.world.gathered(own)
        if found is None:
            return None
        merged = {k: part[k] for part in found for k in part}
        return {**state, "state": {k: merged[k] for k in sorted(merged)}}


def dealt(costs: Sequence[int], count: int) -> list[list[int]]:
    """Deal the numbers of `costs` out to `count` parts of about equal sum, the dearest first."""
    parts: list[list[int]] = [[] for _ in range(count)]
    sums = [0] * count
    for k in sorted(range(len(costs)), key=lambda k: (-costs[k], k)):
        least = sums.index(min(sums))
        parts[least].append(k)
        sums[least] += costs[k]
    return parts


def _cost(parameter: Tensor) -> int:
    """Return about what Muon's step costs: a matrix m x n, m <= n, is multiplied by m x m ones."""
    if parameter.ndim < 2:
        return _BEGIN_VECTOR + parameter.numel()
    rows = parameter.shape[0]
    return _BEGIN_MATRIX + parameter.numel() * min(rows, parameter.numel() // max(rows, 1))


def _gradient(parameter: Tensor) -> Tensor:
    """Return the gradient as a vector."""
    found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    return found.reshape(-1)


def _on_cpu(state: dict[str, Any]) -> dict[str, Any]:
    """Return what is remembered of a parameter, from whichever device, on the CPU."""
    return {key: v.cpu() if isinstance(v, Tensor) else v for key, v in state.items()}

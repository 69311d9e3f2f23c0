"""The trace of a field's Jacobian, exact or estimated, from products with vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.sampling.rng import GROUP, by_group


class Trace(ABC):
    """The divergence of a field from products of its Jacobian with vectors."""

    columns: int

    @abstractmethod
    def __call__(self, pull: Callable[[Tensor], Tensor], like: Tensor, place: Tensor) -> Tensor:
        """Return estimates of the trace, (B, columns).

        `pull(v)` is v . (df/dx), for v and results like `like`, (B, d); `place` (B,) numbers the
        samples.
        """


class ExactTrace(Trace):
    """sum_i e_i . J e_i over the coordinate axes: one backward pass each."""

    columns = 1

    def __call__(self, pull: Callable[[Tensor], Tensor], like: Tensor, place: Tensor) -> Tensor:
        """Return the trace, (B, 1)."""
        del place
        units = torch.eye(like.shape[1], dtype=like.dtype, device=like.device)
        rows = (pull(unit.expand_as(like))[:, i] for i, unit in enumerate(units))
        return torch.stack([*rows], dim=1).sum(dim=1, keepdim=True)


class HutchinsonTrace(Trace):
    """e_k . J e_k for random signs e_k: each k an unbiased estimate.

    Args:
        signs: (samples, probes, d).
    """

    def __init__(self, signs: Tensor) -> None:
        self.signs, self.columns = signs, signs.shape[1]

    def __call__(self, pull: Callable[[Tensor], Tensor], like: Tensor, place: Tensor) -> Tensor:
        """Return one estimate per probe, (B, probes)."""
        signs = self.signs[place].to(like)
        return torch.stack([(pull(s) * s).sum(dim=1) for s in signs.unbind(1)], dim=1)


def random_signs(n: int, probes: int, dim: int, seed: int) -> Tensor:
    """Return random signs (n, probes, dim), int8."""
    return by_group(
        0,
        n,
        seed,
        lambda g: (
            torch.randint(2, (GROUP, probes, dim), generator=g, dtype=torch.int8).mul_(2).sub_(1)
        ),
    )

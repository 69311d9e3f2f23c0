"""Random numbers of which row i depends on (seed, i) alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.noise import GROUP, mix


def by_group(n: int, seed: int, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """Return n rows drawn in groups of 16, so that row i depends on (seed, i) alone."""
    generators = (torch.Generator().manual_seed(mix(seed, g)) for g in range(-(-n // GROUP)))
    groups = [draw(generator) for generator in generators]
    return torch.cat(groups)[:n] if groups else draw(torch.Generator())[:0]

"""The prior sampler: where the ODE starts, x_T ~ p_T."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from zoo.config.part import Part, described
from zoo.interfaces.kernel import FieldKernel, over


class PriorSampler(ABC):
    """Law of x_T for one kernel. A component is called as component(kernel, **options)."""

    part: Part | None = None

    def __init__(self, kernel: FieldKernel) -> None:
        self.kernel = kernel

    def __repr__(self) -> str:
        return described(self, t_max=self.kernel.t_max)

    @abstractmethod
    def sample(
        self, n: int, shape: tuple[int, ...], generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n starting points x_T, shape (n, *shape), float64, prod(shape) = kernel.dim."""

    @abstractmethod
    def log_density(self, x_T: Tensor) -> Tensor:
        """Return log p_T(x_T) in nats, normalised, shape (n,)."""


class KernelPrior(PriorSampler):
    """The kernel's own law around the origin: p_T = p_{t_max}(. | x_0 = 0).

    At a large enough T the data no longer shows: kexue.fm/archives/9370, "result analysis".

    Attributes:
        largest_level: noise level |x_T| / sqrt(d) on which samples of a larger one are put, in the
            direction that they have; log_density stays that of the whole law. None for no bound.
    """

    largest_level: float | None = None

    def sample(
        self, n: int, shape: tuple[int, ...], generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw x_T from the kernel at x_0 = 0, t = t_max, shape (n, *shape), float64."""
        origin = torch.zeros((), dtype=torch.float64).expand(n, *shape)
        x = self.kernel.sample(origin, self.kernel.t_max, generator)
        if self.largest_level is None:
            return x
        level = x.flatten(1).square().mean(dim=1).sqrt()
        return over((self.largest_level / level).clamp(max=1), x) * x

    def log_density(self, x_T: Tensor) -> Tensor:
        """Return the kernel's log density at x_0 = 0, t = t_max, shape (n,)."""
        return self.kernel.log_density(x_T, torch.zeros_like(x_T), self.kernel.t_max)

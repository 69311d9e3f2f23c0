"""A prior sampler: the law of x_T, where the ODE starts."""

import torch
from torch import Generator, Tensor
from zoo.interfaces import PriorSampler


class ChangemePrior(PriorSampler):
    """The kernel's own law around 0 at t_max, where the data no longer shows."""

    def sample(self, n: int, shape: tuple[int, ...], generator: Generator | None = None) -> Tensor:
        """Draw x_T, shape (n, *shape), float64."""
        origin = torch.zeros((n, *shape), dtype=torch.float64)
        return self.kernel.sample(origin, self.kernel.t_max, generator)

    def log_density(self, x_T: Tensor) -> Tensor:
        """Return log p_T(x_T) in nats, shape (n,)."""
        return self.kernel.log_density(x_T, torch.zeros_like(x_T), self.kernel.t_max)

"""The exact law of x_T for a finite data set: the kernel's mixture at T."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.exact_fields.network import SourceSum, exact_network
from zoo.interfaces import FieldKernel, PriorSampler


class ExactPrior(PriorSampler):
    """p_T(x) = (1/N) sum_i G_1(x, x_i, T), T = kernel.t_max.

    A KernelPrior forgets the data, which leaves a total variation between p_T and the truth;
    with this prior samples and likelihoods of an exact field have none.

    Args:
        kernel: the field kernel.
        data: sources (N, *shape), float32 or float64.

    Raises:
        ZooError: the data does not fit, see `zoo.exact`.
    """

    def __init__(self, kernel: FieldKernel, data: Tensor | SourceSum) -> None:
        super().__init__(kernel)
        self.sources = data if isinstance(data, SourceSum) else exact_network(kernel, data)

    def sample(
        self, n: int, shape: tuple[int, ...], generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n times a source and the kernel's noise around it, shape (n, *shape), float64."""
        sources = self.sources
        index = torch.randint(len(sources), (n,), generator=generator)
        rows = (sources.centred[index.to(sources.centred.device)] + sources.centre).double()
        return self.kernel.sample(rows.cpu().reshape(n, *shape), self.kernel.t_max, generator)

    def log_density(self, x_T: Tensor) -> Tensor:
        """Return log p_T(x_T) in nats, shape (n,)."""
        return self.sources.log_density(x_T, self.kernel.t_max)

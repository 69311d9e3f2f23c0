"""The exact law of x_T for known data: the kernel's mixture at T."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, PriorSampler
from zoo.models.exact.gaussians import GaussianMixture, MixtureDenoiser
from zoo.models.exact.network import SourceSum, exact_network


class ExactPrior(PriorSampler):
    """p_T(x) = (1/N) sum_i G_1(x, x_i, T), T = kernel.t_max.

    A KernelPrior forgets the data, which leaves a total variation between p_T and the truth;
    with this prior the samples and likelihoods of an exact field have none.

    Args:
        kernel: the field kernel.
        data: sources (N, *shape), float32 or float64, or a GaussianMixture.

    Raises:
        ZooError: the data does not fit, see `zoo.exact`.
    """

    def __init__(self, kernel: FieldKernel, data: Tensor | GaussianMixture) -> None:
        super().__init__(kernel)
        self.data = data
        self._law: MixtureDenoiser | SourceSum
        if isinstance(data, GaussianMixture):
            self._law = MixtureDenoiser(kernel, data)
        else:
            self._law = exact_network(kernel, data)

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n data points, float64, on the CPU."""
        if isinstance(self.data, GaussianMixture):
            return self.data.sample(n, generator)
        index = torch.randint(len(self.data), (n,), generator=generator)
        return self.data[index.to(self.data.device)].double().cpu()

    def sample(
        self, n: int, shape: tuple[int, ...], generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n data points and the kernel's noise around them, shape (n, *shape), float64."""
        x_0 = self._draw(n, generator).reshape(n, *shape)
        return self.kernel.sample(x_0, self.kernel.t_max, generator)

    def log_density(self, x_T: Tensor) -> Tensor:
        """Return log p_T(x_T) in nats, shape (n,)."""
        return self._law.log_density(x_T, self.kernel.t_max)

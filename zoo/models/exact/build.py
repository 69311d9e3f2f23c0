"""zoo.exact: a data set and a kernel make a model without a network."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.host.build import kernel as build_kernel
from zoo.host.build import prior as build_prior
from zoo.host.build import solver as build_solver
from zoo.interfaces import FieldKernel, KernelPrior, Network, PriorSampler, Solver
from zoo.models.exact.gaussians import GaussianMixture, MixtureDenoiser
from zoo.models.exact.network import SourceSum, check_data, exact_network, log_weights_of
from zoo.models.model import FieldModel
from zoo.models.parts import check_part
from zoo.sampling.arguments import Numbers, as_tensor


class ExactPrior(PriorSampler):
    """p_T(x) = (1/N) sum_i G_1(x, x_i, T), T = kernel.t_max.

    A KernelPrior forgets the data, which leaves a total variation between p_T and the truth;
    with this prior the samples and likelihoods of an exact field have none.

    Args:
        kernel: the field kernel.
        data: sources (N, *shape), float32 or float64, or a GaussianMixture.
        weights: of the sources, (N,), proportional; None for equal ones.

    Raises:
        ZooError: data or weights do not fit, see `zoo.exact`.
    """

    def __init__(
        self,
        kernel: FieldKernel,
        data: Tensor | GaussianMixture,
        weights: Tensor | None = None,
    ) -> None:
        super().__init__(kernel)
        self.data = data
        self._law: MixtureDenoiser | SourceSum
        if isinstance(data, GaussianMixture):
            self._law = MixtureDenoiser(kernel, data)
        else:
            known = None if weights is None else log_weights_of(weights, len(data))
            self._law = exact_network(kernel, data, known)
        self._weights = weights

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n data points, float64, on the CPU."""
        if isinstance(self.data, GaussianMixture):
            return self.data.sample(n, generator)
        if self._weights is None:
            index = torch.randint(len(self.data), (n,), generator=generator)
        else:
            index = self._weights.cpu().double().multinomial(n, True, generator=generator)
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


DEFAULT_SOLVER = "heun"


@torch.inference_mode(False)
def exact(
    kernel: FieldKernel | str,
    data: Numbers | GaussianMixture,
    *,
    weights: Numbers | None = None,
    prior: PriorSampler | str | None = None,
    solver: Solver | str | None = None,
) -> FieldModel:
    """Return the model whose field is the exact one of `data`: no network, no training.

    f_t(x) = sum_i w_i v(x, x_i, t), w = softmax_i log G_1(x, x_i, t). Kernels whose velocity is
    affine in x_0 go through the denoiser sum_i w_i x_i. Its `network.log_density(x, t)` is
    log p_t(x). Sources are streamed in chunks; 60,000 images of 784 pixels take less than 1 GB.

    Args:
        kernel: a field kernel, or the name of one.
        data: sources (N, *shape), a tensor, an array or lists, computed in their own dtype:
            float64 where t is so small that squared distances have to be right to 1e-7; or a
            GaussianMixture, under a Gaussian kernel, for closed forms.
        weights: of the sources, (N,), proportional; None for equal ones. With likelihoods as
            weights the model is the exact posterior. A mixture has weights of its own.
        prior: a prior sampler or the name of one; by default the kernel's law at x_0 = 0, as for
            trained models. ExactPrior(kernel, data) is the exact mixture at t_max.
        solver: a solver or the name of one, "heun" by default.

    Raises:
        ZooError: data of the wrong dtype, shape or dimension, or not finite; weights that are none;
            a mixture under a kernel that is not Gaussian; an unknown name.
    """
    if weights is not None and isinstance(data, GaussianMixture):
        raise ZooError("a GaussianMixture has weights of its own: give them when it is made")
    if not isinstance(data, GaussianMixture):
        data = as_tensor("data", data).detach()
        check_data(data)
    if isinstance(kernel, str):
        dim = data.dim if isinstance(data, GaussianMixture) else data[:1].numel()
        kernel = build_kernel(kernel, dim=dim)
    check_part("kernel", kernel)
    network: Network
    if isinstance(data, GaussianMixture):
        network, shape = MixtureDenoiser(kernel, data), data.shape
    else:
        known = None
        if weights is not None:
            known = log_weights_of(as_tensor("weights", weights).detach(), len(data))
        network, shape = exact_network(kernel, data, known), tuple(data.shape[1:])
    if isinstance(prior, str):
        prior = build_prior(prior, kernel)
    if solver is None or isinstance(solver, str):
        solver = build_solver(DEFAULT_SOLVER if solver is None else solver)
    prior = KernelPrior(kernel) if prior is None else prior
    return FieldModel(kernel, prior, network, solver, shape)

"""zoo.exact: a data set and a kernel make a model without a network."""

from __future__ import annotations

from torch import Tensor

from zoo.errors import ZooError
from zoo.host.build import kernel as build_kernel
from zoo.host.build import prior as build_prior
from zoo.host.build import solver as build_solver
from zoo.interfaces import FieldKernel, KernelPrior, Network, PriorSampler, Solver
from zoo.models.exact.gaussians import GaussianMixture, MixtureDenoiser
from zoo.models.exact.network import check_data, exact_network
from zoo.models.model import FieldModel

DEFAULT_SOLVER = "heun"


def exact(
    kernel: FieldKernel | str,
    data: Tensor | GaussianMixture,
    *,
    prior: PriorSampler | str | None = None,
    solver: Solver | str | None = None,
) -> FieldModel:
    """Return the model whose field is the exact one of `data`: no network, no training.

    f_t(x) = sum_i w_i v(x, x_i, t), w = softmax_i log G_1(x, x_i, t). Kernels whose velocity is
    affine in x_0 go through the denoiser sum_i w_i x_i. Its `network.log_density(x, t)` is
    log p_t(x). Sources are streamed in chunks; 60,000 images of 784 pixels take less than 1 GB.

    Args:
        kernel: a field kernel, or the name of one.
        data: sources (N, *shape), computed in their own dtype: float64 where t is so small that
            squared distances have to be right to 1e-7; or a GaussianMixture, under a Gaussian
            kernel, for closed forms.
        prior: a prior sampler or the name of one; by default the kernel's law at x_0 = 0, as for
            trained models. ExactPrior(kernel, data) is the exact mixture at t_max.
        solver: a solver or the name of one, "heun" by default.

    Raises:
        ZooError: data of the wrong dtype, shape or dimension, or not finite; a mixture under a
            kernel that is not Gaussian; an unknown name.
    """
    if not isinstance(data, (Tensor, GaussianMixture)):
        raise ZooError(f"data is a {type(data).__name__}; expected a tensor (N, *shape)")
    if isinstance(data, Tensor):
        check_data(data)
    if isinstance(kernel, str):
        dim = data.dim if isinstance(data, GaussianMixture) else data[:1].numel()
        kernel = build_kernel(kernel, dim=dim)
    network: Network
    if isinstance(data, GaussianMixture):
        network, shape = MixtureDenoiser(kernel, data), data.shape
    else:
        network, shape = exact_network(kernel, data), tuple(data.shape[1:])
    if isinstance(prior, str):
        prior = build_prior(prior, kernel)
    if solver is None or isinstance(solver, str):
        solver = build_solver(solver or DEFAULT_SOLVER)
    model = FieldModel(kernel, prior or KernelPrior(kernel), network, solver, shape)
    return model.eval()

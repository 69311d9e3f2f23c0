"""Laws of priors: the kernel's distribution at T, a normalised density, samples that follow it."""

from __future__ import annotations

import torch

from zoo.errors import CheckFailure
from zoo.interfaces import IsotropicKernel, PriorSampler
from zoo.testing.calls import copied, require_shape
from zoo.testing.draws import draws, obeys_density
from zoo.testing.far import factors, rays, require_far
from zoo.testing.numerics import (
    generator,
    require_determined,
    require_distribution,
    require_mass_one,
)

_TAILS = (1e-7, 1e-4, 0.5, 1 - 1e-4, 1 - 1e-7)


def law(prior: PriorSampler) -> None:
    """x_T follows the kernel's distribution at t_max around the origin."""
    kernel = prior.kernel
    x = prior.sample(draws(kernel.dim), (kernel.dim,), generator(1))
    require_distribution(kernel, x, kernel.t_max, f"x_T at T = {kernel.t_max:.4g}", seed=2)


def normalisation(prior: PriorSampler) -> None:
    """The density integrates to 1: along a ray for isotropic kernels, over the plane for others."""
    x = prior.sample(64, (prior.kernel.dim,), generator(1))
    require_mass_one(prior.kernel, prior.log_density, x, "exp(log_density)")


def agreement(prior: PriorSampler) -> None:
    """Samples follow log_density."""
    x = prior.sample(draws(prior.kernel.dim), (prior.kernel.dim,), generator(4))
    obeys_density(x, prior.log_density, "x_T and log_density")


def calls(prior: PriorSampler) -> None:
    """Shapes and dtype; the generator determines the result; torch's global state is not used."""
    dim = prior.kernel.dim
    first = require_determined(lambda generator: prior.sample(6, (dim,), generator))
    image = prior.sample(4, (1, 1, dim), generator(5))
    require_shape(image, (4, 1, 1, dim), "sample of shape (1, 1, d)")
    require_shape(prior.sample(0, (dim,), generator(5)), (0, dim), "an empty sample")
    require_shape(prior.log_density(image), (4,), "log_density")
    if first.dtype != torch.float64 or not bool(first.isfinite().all()):
        raise CheckFailure(f"samples are {first.dtype}, or not all finite; expected finite float64")


def far(prior: PriorSampler) -> None:
    """The log density is finite at quantiles of 1e-7 and as far beyond as that of the kernel."""
    kernel = prior.kernel
    if isinstance(kernel, IsotropicKernel):
        with torch.no_grad():
            radii = kernel.radial_icdf(torch.tensor(_TAILS, dtype=torch.float64), kernel.t_max)
    else:
        drawn = prior.sample(64, (kernel.dim,), generator(1)).norm(dim=1)
        radii = torch.stack([*drawn.aminmax()])
    x = rays(kernel, torch.cat([radii, radii[-1] * factors(kernel)]))
    require_far(prior.log_density(x).isfinite(), x, kernel.t_max, "log_density is not finite")


def pickling(prior: PriorSampler) -> None:
    """A prior that was pickled and read again draws the same bits."""
    shape = (prior.kernel.dim,)
    if not torch.equal(
        copied(prior).sample(4, shape, generator(6)), prior.sample(4, shape, generator(6))
    ):
        raise CheckFailure("pickled and read again, the prior draws other numbers")

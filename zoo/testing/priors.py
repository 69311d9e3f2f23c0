"""Laws of priors: the kernel's distribution at T, a normalised density, samples that follow it."""

from __future__ import annotations

import math

import torch

from zoo.errors import CheckFailure
from zoo.interfaces import IsotropicKernel, PriorSampler
from zoo.interfaces.radial import directions, log_shell
from zoo.testing.calls import require_shape
from zoo.testing.draws import draws, obeys_density
from zoo.testing.green import require_one
from zoo.testing.numerics import (
    generator,
    log_integral,
    log_mass_of_plane,
    normal,
    require_same_distribution,
    require_uniform,
)


def law(prior: PriorSampler) -> None:
    """x_T follows the kernel's distribution at t_max around the origin."""
    kernel = prior.kernel
    x = prior.sample(draws(kernel.dim), (kernel.dim,), generator(1))
    r = x.norm(dim=1)
    where = f"|x_T| and that of the kernel at T = {kernel.t_max:.4g}"
    if isinstance(kernel, IsotropicKernel):
        require_uniform(kernel.radial_cdf(r, kernel.t_max), where)
        return
    expected = kernel.sample(torch.zeros_like(x), kernel.t_max, generator(2))
    require_same_distribution(r, expected.norm(dim=1), where)
    axis = normal(kernel.dim, seed=3)
    require_same_distribution(
        x @ axis, expected @ axis, f"x_T along an axis, at T = {kernel.t_max:.4g}"
    )


def normalisation(prior: PriorSampler) -> None:
    """The density integrates to 1: along a ray for isotropic kernels, over the plane for others."""
    kernel = prior.kernel
    x = prior.sample(64, (kernel.dim,), generator(1))
    if isinstance(kernel, IsotropicKernel):
        (u,) = directions(normal(1, kernel.dim), generator(2))
        log_mass = log_integral(
            lambda s: prior.log_density(s.exp()[:, None] * u) + log_shell(s.exp(), kernel.dim) + s,
            math.log(float(x.norm(dim=1).median())),
        )
    elif kernel.dim == 2:
        log_mass = log_mass_of_plane(
            prior.log_density, x.median(dim=0).values, float(x.norm(dim=1).median())
        )
    else:
        return
    require_one(log_mass, "exp(log_density)")


def agreement(prior: PriorSampler) -> None:
    """Samples follow log_density."""
    x = prior.sample(draws(prior.kernel.dim), (prior.kernel.dim,), generator(4))
    obeys_density(x, prior.log_density, "x_T and log_density")


def calls(prior: PriorSampler) -> None:
    """Shapes and dtype; the generator determines the result; torch's global state is not used."""
    dim = prior.kernel.dim
    before = torch.get_rng_state()
    first, again, other = (prior.sample(6, (dim,), generator(seed)) for seed in (5, 5, 6))
    if not torch.equal(torch.get_rng_state(), before):
        raise CheckFailure("sample draws from torch's global state although given a generator")
    if not torch.equal(first, again):
        raise CheckFailure("sample gives two results for one generator state")
    if torch.equal(first, other):
        raise CheckFailure("sample gives one result for two generator states")
    image = prior.sample(4, (1, 1, dim), generator(5))
    require_shape(image, (4, 1, 1, dim), "sample of shape (1, 1, d)")
    require_shape(prior.sample(0, (dim,), generator(5)), (0, dim), "an empty sample")
    require_shape(prior.log_density(image), (4,), "log_density")
    if first.dtype != torch.float64 or not bool(first.isfinite().all()):
        raise CheckFailure(f"samples are {first.dtype}, or not all finite; expected finite float64")

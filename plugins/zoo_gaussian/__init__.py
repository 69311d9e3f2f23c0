"""Gaussian diffusion as a field: the probability-flow ODE."""

from collections.abc import Iterable

from zoo import Component, hookimpl


@hookimpl
def zoo_field_kernels() -> Iterable[Component]:
    """Bring the variance-exploding Gaussian kernel."""
    yield Component("gaussian", "zoo_gaussian.kernel:GaussianKernel", "sigma_t = t (VE, EDM)")


@hookimpl
def zoo_prior_samplers() -> Iterable[Component]:
    """Bring its prior."""
    yield Component("gaussian", "zoo_gaussian.prior:GaussianPrior", "N(0, T^2 I)")

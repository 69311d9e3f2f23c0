"""Gravity: the isotropic Green's function in (t, x), PFGM's Poisson field."""

from collections.abc import Iterable

from zoo import Component, hookimpl


@hookimpl
def zoo_field_kernels() -> Iterable[Component]:
    """Bring the gravity kernel."""
    yield Component("gravity", "zoo_gravity.kernel:GravityKernel", "multivariate Cauchy (PFGM)")


@hookimpl
def zoo_prior_samplers() -> Iterable[Component]:
    """Bring its prior."""
    yield Component("gravity", "zoo_gravity.prior:GravityPrior", "Cauchy by a ratio of Gaussians")

"""Gravity: the isotropic Green's function in (t, x), PFGM's Poisson field, and PFGM++."""

from collections.abc import Iterable

from zoo import Component, hookimpl

# The kernel around x_0 = 0 at t = t_max.
OWN_LAW = "zoo.interfaces:KernelPrior"


@hookimpl
def zoo_field_kernels() -> Iterable[Component]:
    """Bring gravity and its generalisation to D extra dimensions."""
    yield Component(
        "gravity",
        "zoo_gravity.kernel:GravityKernel",
        "multivariate Cauchy (PFGM)",
        formula="G = C (t, x_t - x_0) / (t² + r²)^((d+1)/2),  C = Γ((d+1)/2) / π^((d+1)/2)",
    )
    yield Component(
        "pfgmpp",
        "zoo_gravity.kernel:PFGMppKernel",
        "Student t with D degrees of freedom (PFGM++)",
        formula="p_t(x_t | x_0) ∝ (t² + r²)^(-(d+D)/2),  v = (x_t - x_0) / t",
    )


@hookimpl
def zoo_prior_samplers() -> Iterable[Component]:
    """Bring their priors."""
    yield Component("gravity", "zoo_gravity.kernel:GravityPrior", "Cauchy by a ratio of Gaussians")
    yield Component("pfgmpp", OWN_LAW, "Student t by a chi-square draw")

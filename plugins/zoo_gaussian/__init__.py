"""Gaussian diffusion as a field: the probability-flow ODE of any noise schedule."""

from collections.abc import Iterable

from zoo import Component, hookimpl

# The kernel around x_0 = 0 at t = t_max.
OWN_LAW = "zoo.interfaces:KernelPrior"


@hookimpl
def zoo_field_kernels() -> Iterable[Component]:
    """Bring the Gaussian kernels."""
    yield Component(
        "gaussian",
        "zoo_gaussian.kernel:GaussianKernel",
        "sigma_t = t (VE, EDM)",
        formula="p_t(x_t | x_0) = N(x_0, t² I),  v = (x_t - x_0) / t",
    )
    yield Component(
        "ve",
        "zoo_gaussian.kernel:VEKernel",
        "any sigma_t, no signal scale",
        formula="p_t(x_t | x_0) = N(x_0, σ_t² I),  v = (σ'/σ) (x_t - x_0)",
    )
    yield Component(
        "vp",
        "zoo_gaussian.paths:VPKernel",
        "variance preserving: linear, cosine, ddpm",
        formula="x_t = α_t x_0 + √(1 - α_t²) z,  z ~ N(0, I)",
    )
    yield Component(
        "interpolant",
        "zoo_gaussian.paths:InterpolantKernel",
        "any pair alpha_t, sigma_t",
        example={"alpha": "cos(pi*t/2)", "sigma": "sin(pi*t/2)"},
        formula="x_t = α_t x_0 + σ_t z,  z ~ N(0, I)",
    )


@hookimpl
def zoo_prior_samplers() -> Iterable[Component]:
    """Bring their priors."""
    yield Component("gaussian", OWN_LAW, "N(0, T^2 I)")
    yield Component("ve", OWN_LAW, "N(0, sigma_T^2 I)")
    yield Component("vp", OWN_LAW, "N(0, sigma_T^2 I), sigma_T nearly 1")
    yield Component("interpolant", OWN_LAW, "N(0, sigma_T^2 I)")

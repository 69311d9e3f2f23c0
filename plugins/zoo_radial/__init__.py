"""The reverse construction: a kernel from any radial CDF, or from any radial density."""

from collections.abc import Iterable

from zoo import Component, hookimpl

# The kernel around x_0 = 0 at t = t_max.
OWN_LAW = "zoo.interfaces:KernelPrior"


@hookimpl
def zoo_field_kernels() -> Iterable[Component]:
    """Bring the article's two examples and the two general constructions."""
    yield Component(
        "tanh",
        "zoo_radial.psi:TanhKernel",
        "radial CDF tanh(r / t)",
        formula="ψ_t(r) = tanh(r/t),  v = (x_t - x_0) / t",
    )
    yield Component(
        "exp",
        "zoo_radial.psi:ExpKernel",
        "radial CDF 1 - exp(-r / t)",
        formula="ψ_t(r) = 1 - exp(-r/t),  v = (x_t - x_0) / t",
    )
    yield Component(
        "psi",
        "zoo_radial.psi:psi_kernel",
        "any radial CDF psi_t(r), as a formula",
        example={"psi": "1 - exp(-(r/t)**1.5)"},
        formula="ψ_t(r) as given,  v = -(∂_t ψ / ∂_r ψ) (x_t - x_0) / r",
    )
    yield Component(
        "phi",
        "zoo_radial.phi:phi_kernel",
        "any radial density phi_t(r), as a formula",
        example={"phi": "exp(-r**2 / (2*t**2))"},
        formula="φ_t(r) as given,  v = -r^(-d) ∂_t(∫₀ʳ φ_t(s) s^(d-1) ds) (x_t - x_0) / φ",
    )


@hookimpl
def zoo_prior_samplers() -> Iterable[Component]:
    """Bring their priors."""
    yield Component("tanh", OWN_LAW, "radius T artanh(q)")
    yield Component("exp", OWN_LAW, "radius -T log(1 - q)")
    yield Component("psi", OWN_LAW, "radius by inverting psi_T")
    yield Component("phi", OWN_LAW, "radius by inverting the integral of phi_T")

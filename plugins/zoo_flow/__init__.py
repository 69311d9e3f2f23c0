"""Trajectories by characteristics: flow matching, any conditional map, non-isotropic noise."""

from collections.abc import Iterable

from zoo import Component, hookimpl

# The kernel around x_0 = 0 at t = t_max.
OWN_LAW = "zoo.interfaces:KernelPrior"


@hookimpl
def zoo_field_kernels() -> Iterable[Component]:
    """Bring flow matching and its relatives."""
    yield Component(
        "flow",
        "zoo_flow.flow:FlowKernel",
        "x_t = (1-t) x_0 + t z (flow matching)",
        formula="x_t = (1 - t) x_0 + t z,  z ~ N(0, I),  v = (x_t - x_0) / t",
    )
    yield Component(
        "anisotropic",
        "zoo_flow.flow:AnisotropicKernel",
        "flow with noise of any covariance",
        example={"covariance": "1 / (1 + i)"},
        formula="x_t = (1 - t) x_0 + t A z,  z ~ N(0, I),  covariance A Aᵀ",
    )
    yield Component(
        "rotating",
        "zoo_flow.rotating:RotatingKernel",
        "flow whose noise rotates as it spreads",
        formula="x_t = (1 - t) x_0 + t R(ωt) A z,  v = -x_0 + (1/t + ωJ) (x_t - (1 - t) x_0)",
    )
    yield Component(
        "map",
        "zoo_flow.maps:map_kernel",
        "any conditional map X_t(x_0, z)",
        example={"map": "(1-t)*x_0 + t*(z + a*sin(z))", "a": 0.3},
        formula="x_t = X_t(x_0, z),  z ~ N(0, I),  v = ∂_t X_t at fixed (x_0, z)",
    )


@hookimpl
def zoo_prior_samplers() -> Iterable[Component]:
    """Bring their priors."""
    yield Component("flow", OWN_LAW, "N(0, I), whatever the data")
    yield Component("anisotropic", OWN_LAW, "N(0, covariance)")
    yield Component("rotating", OWN_LAW, "N(0, covariance), turned")
    yield Component("map", OWN_LAW, "the map's image of N(0, I) at x_0 = 0")

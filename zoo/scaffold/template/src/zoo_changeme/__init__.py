"""What this plugin brings to fieldzoo. Keep torch out of this file: `zoo list` imports it."""

from zoo import Component, hookimpl


@hookimpl
def zoo_field_kernels() -> list[Component]:
    """Bring the kernel."""
    target = "zoo_changeme.kernel:ChangemeKernel"
    formula = "ψ_t(r) = 1 - exp(-r²/t²)"
    return [Component("changeme", target, "Rayleigh radius", formula=formula)]


@hookimpl
def zoo_prior_samplers() -> list[Component]:
    """Bring the prior."""
    target = "zoo_changeme.prior:ChangemePrior"
    return [Component("changeme", target, "the kernel around 0 at t_max")]


@hookimpl
def zoo_networks() -> list[Component]:
    """Bring the network."""
    target = "zoo_changeme.network:build"
    return [Component("changeme", target, "two hidden layers, data of any shape")]


@hookimpl
def zoo_solvers() -> list[Component]:
    """Bring the solver."""
    target = "zoo_changeme.solver:ChangemeSolver"
    return [Component("changeme", target, "midpoint in log t, order 2")]


@hookimpl
def zoo_formats() -> list[Component]:
    """Bring the format."""
    target = "zoo_changeme.format:ChangemeFormat"
    return [Component("changeme", target, "an mlp's weights, .npz")]


@hookimpl
def zoo_posteriors() -> list[Component]:
    """Bring the method."""
    target = "zoo_changeme.posterior:ChangemeMethod"
    return [Component("changeme", target, "moment matching in two directions")]

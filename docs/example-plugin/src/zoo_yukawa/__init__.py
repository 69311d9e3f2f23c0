"""Yukawa for fieldzoo. Keep torch out of this file: `zoo list` imports it."""

from pathlib import Path

from zoo import Component, hookimpl


@hookimpl
def zoo_field_kernels() -> list[Component]:
    """Bring the kernel."""
    target, formula = "zoo_yukawa.kernel:YukawaKernel", "ψ_t(r) = 1 - (1 + r/t) exp(-r/t)"
    return [Component("yukawa", target, "screened gravity, r ~ Gamma(2)", formula=formula)]


@hookimpl
def zoo_prior_samplers() -> list[Component]:
    """Bring its prior: the kernel's own law is good enough."""
    return [Component("yukawa", "zoo.interfaces:KernelPrior", "the kernel at x_0 = 0, t = t_max")]


@hookimpl
def zoo_models() -> list[Path]:
    """Bring a trained model."""
    return [Path(__file__).parent / "models" / "yukawa-two-moons"]

"""Posterior sampling: six methods that condition a denoiser on y = A x_0 + n."""

from collections.abc import Iterable

from zoo import Component, hookimpl

_METHODS = (
    ("mmps", "mmps:MMPS", "moment matching: the covariance of x_0 from the denoiser's Jacobian"),
    ("pgdm", "pgdm:PGDM", "pseudo-inverse guidance, one number for the covariance"),
    ("dps", "dps:DPS", "one step down the gradient of the residual"),
    ("diffpir", "diffpir:DiffPIR", "proximal step, no gradient through the network"),
    ("replacement", "replacement:Replacement", "what is seen replaces what is denoised (RePaint)"),
    ("exact", "exact:Exact", "the true posterior of zoo.exact's data"),
)


@hookimpl
def zoo_posteriors() -> Iterable[Component]:
    """Bring the methods."""
    for name, target, summary in _METHODS:
        yield Component(name, f"zoo_posterior.{target}", summary)

"""The four parts of a model from what a config.json or a recipe says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import zoo
from zoo import build
from zoo.config import Config, Part
from zoo.errors import ZooError
from zoo.registry import find, is_own_law

if TYPE_CHECKING:
    from zoo.interfaces import FieldKernel, Network, PriorSampler, Solver
    from zoo.recipe import Recipe


def _options(part: Part, *taken: str) -> dict[str, Any]:
    """Return a part's options for its builder, which fills in `taken` and its name itself."""
    if clash := sorted({"name", *taken} & part.options.keys()):
        raise ZooError(f"{part.use!r} has no option {clash[0]!r}; zoo fills that in itself")
    return part.options


def kernel_of(part: Part, dim: int) -> FieldKernel:
    """Return the kernel, as `zoo.kernel` builds it; raises what that raises."""
    return build.kernel(part.use, dim=dim, **_options(part, "dim"))


def prior_of(part: Part, kernel: FieldKernel) -> PriorSampler:
    """Return the prior sampler, as `zoo.prior` builds it; raises what that raises."""
    return build.prior(part.use, kernel, **_options(part, "kernel"))


def network_of(part: Part, shape: Sequence[int], kernel: FieldKernel) -> Network:
    """Return the network, as `zoo.network` builds it; raises what that raises."""
    return build.network(part.use, shape=shape, kernel=kernel, **_options(part, "shape", "kernel"))


def solver_of(part: Part) -> Solver:
    """Return the solver, as `zoo.solver` builds it; raises what that raises."""
    solver, _ = without_steps(part)
    return build.solver(solver.use, **_options(solver))


def without_steps(solver: Part) -> tuple[Part, dict[str, Any]]:
    """Return a solver without the option "steps", and {"steps": n}, which is the model's, or {}."""
    steps = {k: v for k, v in solver.options.items() if k == "steps"}
    return Part(solver.use, {k: v for k, v in solver.options.items() if k != "steps"}), steps


def requirements(parts: Config | Recipe) -> tuple[str, ...]:
    """Return what has to be installed to build the parts: ("fieldzoo>=0.1.0", ...).

    What a config requires beside the distributions of its parts stays.

    Raises:
        ZooError: a part is not there.
    """
    from packaging.requirements import Requirement
    from packaging.version import Version

    named = [
        ("kernels", parts.kernel),
        ("priors", parts.prior),
        ("networks", parts.network),
        ("solvers", parts.solver),
    ]
    if isinstance(parts, Config) and parts.lifted_from is not None:
        named.append(("kernels", parts.lifted_from))
    if is_own_law(parts.prior.use, parts.kernel.use):
        named.remove(("priors", parts.prior))
    owners = [find(kind, part.use).plugin for kind, part in named]
    versions = {"fieldzoo": zoo.__version__} | {o.distribution: o.version for o in owners}
    found = [f"{name}>={Version(v).public}" for name, v in versions.items() if name]
    asked = parts.requires if isinstance(parts, Config) else ()
    found += [r for r in asked if Requirement(r).name not in versions]
    return tuple(sorted(found))

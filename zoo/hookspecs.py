"""The hooks: all that a plugin can bring. This is the file for plugin authors.

A plugin is a Python package with an entry point in the group `zoo`:

    [project.entry-points.zoo]
    yukawa = "zoo_yukawa"

and in zoo_yukawa/__init__.py:

    from zoo import Component, hookimpl

    @hookimpl
    def zoo_field_kernels():
        yield Component("yukawa", "zoo_yukawa.kernel:YukawaKernel", "screened gravity")

A hook returns records whose target is imported only when the component is built, so keep
torch out of the package's __init__. A hook that has nothing to bring returns (): None is taken
for a forgotten return.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any

import pluggy

ENTRY_POINT_GROUP = "zoo"

hookspec = pluggy.HookspecMarker("zoo")
# Marks a function of a plugin as what one of these hooks calls.
hookimpl = pluggy.HookimplMarker("zoo")


@dataclass(frozen=True)
class Component:
    """One part that a plugin brings.

    Attributes:
        name: what users write, e.g. "gravity"; lower case, digits, "-", "_" and ".".
        target: where it is, "package.module:Name", imported only when the part is built.
        summary: one line for `zoo components`.
        example: options with which checks and pictures build it, where it needs any.
        formula: of a kernel, what it is in one line of symbols, for model cards.
    """

    name: str
    target: str
    summary: str = ""
    example: Mapping[str, Any] = field(default_factory=dict, hash=False)
    formula: str = ""


@hookspec
def zoo_field_kernels() -> Iterable[Component]:
    """Return field kernels; each target is called as target(dim=d, **options) -> FieldKernel."""
    return ()


@hookspec
def zoo_prior_samplers() -> Iterable[Component]:
    """Return prior samplers; each target is called as target(kernel, **options) -> PriorSampler."""
    return ()


@hookspec
def zoo_networks() -> Iterable[Component]:
    """Return networks; each target is called as target(shape, kernel, **options) -> Network."""
    return ()


@hookspec
def zoo_solvers() -> Iterable[Component]:
    """Return solvers; each target is called as target(**options) -> Solver."""
    return ()


@hookspec
def zoo_formats() -> Iterable[Component]:
    """Return checkpoint formats of other libraries; each target is called as target(**options)."""
    return ()


@hookspec
def zoo_posteriors() -> Iterable[Component]:
    """Return methods of posterior sampling; each target is called as target(**options)."""
    return ()


@hookspec
def zoo_models() -> Iterable[Traversable]:
    """Return model folders (config.json, README.md, weights); the folder's name is the model's."""
    return ()

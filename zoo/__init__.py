"""fieldzoo: a plugin-based zoo of ODE generative models built from one divergence equation.

A model is four plain parts: a field kernel (how data spreads into noise), a prior sampler
(where the ODE starts), a network (learns the field) and a solver (walks the ODE back).

    import zoo
    model = zoo.load("gravity-fashion-mnist")
    images = model.sample(64, seed=0)  # (64, 1, 28, 28) in [-1, 1]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo.errors import PluginError, ZooError
from zoo.hookspecs import Component, hookimpl

if TYPE_CHECKING:
    from zoo.build import kernel, network, prior, solver
    from zoo.exact_fields import exact
    from zoo.hub import pull, push
    from zoo.loading import load
    from zoo.model import FieldModel
    from zoo.names import list_models
    from zoo.registry import components
    from zoo.training.run import train
    from zoo.tune import optimise_grid

__version__ = "0.1.0"

# Public names that are imported only when asked for, so that `import zoo` stays free of torch.
_LAZY = {
    "FieldModel": "zoo.model",
    "components": "zoo.registry",
    "exact": "zoo.exact_fields",
    "kernel": "zoo.build",
    "list_models": "zoo.names",
    "load": "zoo.loading",
    "network": "zoo.build",
    "optimise_grid": "zoo.tune",
    "prior": "zoo.build",
    "pull": "zoo.hub",
    "push": "zoo.hub",
    "solver": "zoo.build",
    "train": "zoo.training.run",
}

__all__ = [
    "Component",
    "FieldModel",
    "PluginError",
    "ZooError",
    "components",
    "exact",
    "hookimpl",
    "kernel",
    "list_models",
    "load",
    "network",
    "optimise_grid",
    "prior",
    "pull",
    "push",
    "solver",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})

"""fieldzoo: a plugin-based zoo of ODE generative models built from one divergence equation.

A model is four plain parts: a field kernel (how data spreads into noise), a prior sampler
(where the ODE starts), a network (learns the field) and a solver (integrates the ODE).

    import zoo
    model = zoo.load("gravity-fashion-mnist")
    images = model.sample(64, seed=0)  # (64, 1, 28, 28) in [-1, 1]
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

from zoo.__about__ import __version__
from zoo.errors import PluginError, ZooError
from zoo.hookspecs import Component, hookimpl

# Dependencies import tqdm.auto, which asks for ipywidgets in a notebook that has none.
warnings.filterwarnings("ignore", "IProgress not found")

# Public names that are imported only when asked for, so that `import zoo` stays free of torch.
# Their types are in __init__.pyi.
_LAZY = {
    "FieldModel": "zoo.models.model",
    "components": "zoo.host.registry",
    "distill": "zoo.training.distill",
    "ema": "zoo.training.posthoc",
    "exact": "zoo.models.exact",
    "export": "zoo.exporting.export",
    "fit": "zoo.training.fit",
    "kernel": "zoo.host.build",
    "leaderboard": "zoo.models.leaderboard",
    "lift": "zoo.models.lift",
    "list_models": "zoo.models.names",
    "load": "zoo.models.load",
    "network": "zoo.host.build",
    "optimise_grid": "zoo.evaluation.tune",
    "prior": "zoo.host.build",
    "pull": "zoo.models.locate",
    "push": "zoo.models.push",
    "show": "zoo.plotting.show",
    "solver": "zoo.host.build",
    "train": "zoo.training.run",
}

__all__ = ["Component", "PluginError", "ZooError", "__version__", "hookimpl", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})

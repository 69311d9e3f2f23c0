"""A mixer for fieldzoo, and a model whose weights are on the Hub."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from zoo import Component, hookimpl


@hookimpl
def zoo_networks() -> list[Component]:
    """Bring the network."""
    return [Component("mixer", "zoo_mixer.network:mixer", "patches mixed by MLPs, images")]


@hookimpl
def zoo_models() -> list[Traversable]:
    """Bring a model: its config.json and card are here, its weights on the Hub."""
    return [files("zoo_mixer") / "models" / "mixer-digits"]

"""Networks: U-Nets for images and series, an MLP for vectors, a transformer of timm's layers."""

from collections.abc import Iterable

from zoo import Component, hookimpl


@hookimpl
def zoo_networks() -> Iterable[Component]:
    """Bring the networks."""
    yield Component("unet", "zoo_networks.unet:unet", "residual U-Net, images of any size")
    yield Component("unet1d", "zoo_networks.unet1d:unet1d", "residual U-Net, series")
    yield Component("mlp", "zoo_networks.mlp:mlp", "residual MLP, vectors")
    yield Component("dit", "zoo_networks.dit:dit", "diffusion transformer (DiT), images")

"""Networks: a U-Net for images, an MLP for vectors, a transformer from timm's layers."""

from collections.abc import Iterable

from zoo import Component, hookimpl


@hookimpl
def zoo_networks() -> Iterable[Component]:
    """Bring the three networks."""
    yield Component("unet", "zoo_networks.unet:unet", "residual U-Net, images of any size")
    yield Component("mlp", "zoo_networks.mlp:mlp", "residual MLP, vectors")
    yield Component("dit", "zoo_networks.dit:dit", "diffusion transformer (DiT), images")

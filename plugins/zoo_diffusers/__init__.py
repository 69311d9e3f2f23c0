"""Networks of Hugging Face diffusers: the Gaussian denoisers that the Hub is full of.

Needs the package diffusers, which fieldzoo does not install: pip install 'fieldzoo[diffusers]'.
"""

from collections.abc import Iterable

from zoo import Component, hookimpl

_SMALL = {
    "unet": {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "layers_per_block": 1,
        "block_out_channels": [8, 16],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "norm_num_groups": 4,
    },
    "scheduler": {"beta_schedule": "linear"},
}


@hookimpl
def zoo_formats() -> Iterable[Component]:
    """Bring the folders and repositories that its pipelines of images are saved in."""
    target = "zoo_diffusers.format:DiffusersFormat"
    yield Component(
        "diffusers", target, "pipelines of images (UNet2DModel, DiT), from the Hub or a folder"
    )


@hookimpl
def zoo_networks() -> Iterable[Component]:
    """Bring the networks of its pipelines of images, given a class or not."""
    target = "zoo_diffusers.network:DiffusersNetwork"
    yield Component("diffusers", target, "UNet2DModel or DiT of diffusers", _SMALL)

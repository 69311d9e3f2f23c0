"""Autoencoders of latent models: AutoencoderKL, and VQModel, which rounds latents to its codebook.

    z = a (E(x) - b),   x = G(z / a + b),   a = scaling_factor, b = shift_factor

E is the mean of AutoencoderKL's distribution, or VQModel's encoding before it is rounded to the
codebook. VQModel's G rounds its argument to the codebook first.

Sources: latent diffusion, arXiv:2112.10752; VQ-VAE, arXiv:1711.00937.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from zoo import ZooError
from zoo.interfaces import Decoder, check_choice, check_integer, check_positive, check_real
from zoo_diffusers.modules import build, run

# Of latents by default: how many channels.
_CHANNELS = {"AutoencoderKL": 4, "VQModel": 3}
_MOST_BLOCKS, _MOST_CHANNELS, _MOST_SIDE = 12, 4096, 2**20


class Sizes(NamedTuple):
    """What the settings of an autoencoder say: channels of images and latents, and how it scales.

    `factor` is the side of images over that of latents.
    """

    name: str
    image: int
    latent: int
    factor: int
    scale: float
    shift: float

    def image_shape(self, latent: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of images of latents (C, H, W).

        Raises:
            ZooError: those have another number of channels, or images were impossibly large.
        """
        if len(latent) != 3 or latent[0] != self.latent:
            raise ZooError(
                f"{self.name} decodes {self.latent} channels, the network makes latents {latent}"
            )
        sides = (n * self.factor for n in latent[1:])
        return (self.image, *(check_integer("side of images", n, 1, _MOST_SIDE) for n in sides))


def sizes(settings: Mapping[str, Any]) -> Sizes:
    """Return what the config.json of an autoencoder says, with diffusers' defaults.

    Raises:
        ZooError: another kind of autoencoder, or a setting that is none.
    """
    if not isinstance(settings, Mapping):
        raise ZooError(f"autoencoder = {settings!r:.60}; expected its settings")
    name = check_choice("autoencoder", settings.get("_class_name", ""), _CHANNELS)
    blocks = settings.get("block_out_channels", [64])
    if not isinstance(blocks, list | tuple) or not 1 <= len(blocks) <= _MOST_BLOCKS:
        raise ZooError(f"block_out_channels = {blocks!r:.60}; expected a list of numbers")

    for key in ("down_block_types", "up_block_types"):
        kinds = settings.get(key, [""])  # by default one
        if not isinstance(kinds, list | tuple) or len(kinds) != len(blocks):
            raise ZooError(
                f"{key} = {kinds!r:.60}; expected one for each of the {len(blocks)} numbers of "
                "block_out_channels"
            )

    def channels(key: str, default: int) -> int:
        return check_integer(key, settings.get(key, default), 1, _MOST_CHANNELS)

    image, latent = channels("in_channels", 3), channels("latent_channels", _CHANNELS[name])
    if image != channels("out_channels", 3):
        raise ZooError(f"the autoencoder takes {image} channels and returns another number")
    if name == "VQModel" and settings.get("vq_embed_dim") is not None:
        latent = channels("vq_embed_dim", latent)
    if settings.get("latents_mean") is not None or settings.get("latents_std") is not None:
        raise ZooError("latents_mean, latents_std: only scaling_factor and shift_factor are read")
    scale = check_positive("scaling_factor", settings.get("scaling_factor", 0.18215), 1e6)
    shift = settings.get("shift_factor")
    shift = 0.0 if shift is None else check_real("shift_factor", shift)
    if not math.isfinite(1 / scale):
        raise ZooError(f"scaling_factor = {scale:g}; expected a number of usual size")
    return Sizes(name, image, latent, 2 ** (len(blocks) - 1), scale, shift)


class Autoencoder(Decoder):
    """An autoencoder of diffusers as the decoder of a latent model.

    Args:
        settings: as its config.json has them, `_class_name` among them.
        latent_shape: (C, H, W) of the latents.

    Raises:
        ZooError: settings that are none, or of other latents; diffusers is not installed.
    """

    def __init__(self, settings: Mapping[str, Any], latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        known = sizes(settings)
        self.name, self.latent_shape = known.name, tuple(latent_shape)
        self.shape = known.image_shape(self.latent_shape)
        self.scale, self.shift = known.scale, known.shift
        self.model = build(known.name, settings)

    def encode(self, x: Tensor) -> Tensor:
        """Return the latents of images, (B, *latent_shape).

        Raises:
            ZooError: images of another shape or dtype; the autoencoder fails.
        """
        model: Any = self.model

        def mean(x: Tensor) -> Tensor:
            found = model.encode(x)
            codes: Tensor = found.latents if self.name == "VQModel" else found.latent_dist.mode()
            return codes

        return (self._run(mean, x, "images", self.shape) - self.shift) * self.scale

    def decode(self, z: Tensor) -> Tensor:
        """Return the images of latents, (B, *shape).

        Raises:
            ZooError: latents of another shape or dtype; the autoencoder fails.
        """
        model: Any = self.model

        def images(z: Tensor) -> Tensor:
            made: Tensor = model.decode(z / self.scale + self.shift).sample
            return made

        return self._run(images, z, "latents", self.latent_shape)

    def _run(
        self, call: Callable[[Tensor], Tensor], x: Tensor, what: str, shape: tuple[int, ...]
    ) -> Tensor:
        """Return call(x) of x on the device and in the dtype of the weights.

        Halves by torch.autocast, float32 outside of products, as networks are asked.
        """
        if tuple(x.shape[1:]) != shape or not x.is_floating_point():
            raise ZooError(
                f"{self.name} is given {what} {tuple(x.shape)} of {x.dtype}; expected "
                f"floating-point numbers (n, *{shape})"
            )
        weight = next(self.model.parameters())
        x = x.to(weight.device, torch.promote_types(weight.dtype, torch.float32))
        half = weight.dtype in (torch.float16, torch.bfloat16)
        with _differentiable(), torch.autocast(x.device.type, weight.dtype, enabled=half):
            return run(self.name, lambda: call(x))


def _differentiable() -> AbstractContextManager[None]:
    """Have attention in operations that are differentiable twice, where gradients are asked for."""
    return sdpa_kernel(SDPBackend.MATH) if torch.is_grad_enabled() else nullcontext()

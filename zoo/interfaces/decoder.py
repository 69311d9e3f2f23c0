"""The decoder of a latent model: images of latents, and latents of images."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Decoder(nn.Module, ABC):
    """An autoencoder x = decode(z), z = encode(x), beside a network that knows the latents z alone.

    Scaled as the network was trained: where an autoencoder E, G has the scaling factor a and the
    shift b, z = a (E(x) - b) and x = G(z / a + b).

    The zoo calls both methods in evaluation mode, without gradients, with tensors on the device of
    the network and of its dtype; of a network in half precision with float32 under torch.autocast.
    A row of the result must not depend on the other rows of the batch.

    Attributes:
        shape: of an image x, (C, H, W).
        latent_shape: of z, the shape of what the network sees.
        name: of the autoencoder, for people.

    Source: latent diffusion, arXiv:2112.10752, sections 3.1 and D.1.
    """

    shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    name: str

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Return the latents of images, (B, *latent_shape), the same at every call."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Return the images of latents, (B, *shape), in the range of the data up to errors."""

"""Latents: what kernel, prior, network and solver of a latent model work with."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

# Of printable characters, as it goes to a terminal and into a card.
_Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]+\Z", max_length=60)]
_Size = Annotated[int, Meta(ge=1, le=2**31)]


class Latent(Struct, frozen=True, forbid_unknown_fields=True):
    """Shape of the latents (C, H, W), and the name of the autoencoder that makes images of them.

    The autoencoder is a part of the network, which has its settings and weights.
    """

    shape: Annotated[tuple[_Size, ...], Meta(min_length=3, max_length=3)]
    autoencoder: _Name

    def __str__(self) -> str:
        return f"latents {'x'.join(map(str, self.shape))}, {self.autoencoder}"

"""A model of the Hub as `zoo list --hub` shows it, and where models of one kind are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from zoo.config.latent import Latent
from zoo.config.model import Config
from zoo.errors import shown
from zoo.hub.records import Record
from zoo.hub.snapshot import Snapshot


class HubModel(Record, frozen=True, omit_defaults=True):
    """A repository, and what its config.json says.

    Attributes:
        downloads: of the last month; None where the Hub does not say.
        seen: when it was listed, seconds since 1970.
        kernel: name of the kernel, "" where it is not known.
        network: name of the network.
        shape: of a sample.
        latent: what samples are decoded from, None where they are not.
        size: of the weights in bytes.
        weights: the other repository that has the weights, "" where it is this one.
        requires: distributions that the model needs.
    """

    downloads: int | None = None
    seen: float = 0.0
    kernel: str = ""
    network: str = ""
    shape: tuple[int, ...] = ()
    latent: Latent | None = None
    size: int = 0
    weights: str = ""
    requires: tuple[str, ...] = ()


class Shelf(NamedTuple):
    """Models of one kind on the Hub.

    Attributes:
        name: what they are kept under.
        tags: which their repositories have, see `zoo.hub.search`.
        read: returns a model with what its commit says of it; raises as `look_into` says.
    """

    name: str
    tags: tuple[str | tuple[str, ...], ...]
    read: Callable[[HubModel, Snapshot], HubModel]


def described(model: HubModel, config: Config, size: int) -> HubModel:
    """Return a model with what its config says, its texts as they may be printed."""
    return msgspec.structs.replace(
        model,
        looked=True,
        error="",
        kernel=shown(config.kernel.use, 60),
        network=shown(config.network.use, 60),
        shape=tuple(config.data.shape),
        latent=config.data.latent,
        size=size,
        weights=shown(config.weights.repo or "", 200),
        requires=tuple(config.requires),
    )

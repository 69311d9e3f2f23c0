"""Before the first step: the network fits itself to data, and takes the weights it starts from."""

from __future__ import annotations

import torch

from zoo.data import Images
from zoo.errors import ZooError, did_you_mean
from zoo.interfaces import Network
from zoo.models.load import load

# Enough for what a network fits by itself, such as the principal components of images.
_MOST = 100_000


def prepare(network: Network, data: Images, start: str | None) -> None:
    """Let the network fit itself to the data, and copy the weights of the model `start` into it.

    Raises:
        ZooError: as in `copy_weights`, or the model to start from is not to be had.
    """
    if type(network).fit is not Network.fit:  # else the data would be read for nothing
        fit(network, data)
    if start is not None:
        copy_weights(load(start).network, network, start)


def fit(network: Network, data: Images) -> None:
    """Call the network's `fit` with all data, or with 100,000 samples spread evenly over them."""
    chosen = torch.linspace(0, len(data) - 1, min(len(data), _MOST)).long()
    labels = None if data.labels is None else data.labels[chosen]
    network.fit(data.batch(chosen), labels)


@torch.no_grad()
def copy_weights(source: Network, network: Network, name: str) -> None:
    """Copy the parameters of one network into another that has them all; buffers stay.

    What `network` has beyond them keeps its first values: a conditional model starts from an
    unconditional one.

    Args:
        source: where from.
        network: where to.
        name: of the source, for errors.

    Raises:
        ZooError: a parameter is not there, or has another shape.
    """
    there = dict(network.named_parameters())
    for key, value in source.named_parameters():
        if key not in there:
            raise ZooError(
                f"train.start = {name}: its parameter {key!r} is not one of the network's; "
                f"{did_you_mean(key, there)}"
            )
        if there[key].shape != value.shape:
            raise ZooError(
                f"train.start = {name}: its parameter {key!r} has shape {tuple(value.shape)}, the "
                f"network's {tuple(there[key].shape)}; the networks need the same options"
            )
        there[key].copy_(value)

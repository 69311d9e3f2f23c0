"""A network as the function of (x, t) that a flow evaluates: labels, guidance, batching, dtype."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import Network
from zoo.interfaces.flow import Predict
from zoo.sampling.batching import fixed_batch_size, fixed_size_batches
from zoo.sampling.precision import autocast_predict


def conditioned(network: Network, guidance: float, dim: int, dtype: torch.dtype) -> Predict:
    """Return the network as a function of (x, t), or of (x, t, labels).

        D = D(x, no class) + guidance (D(x, class) - D(x, no class))

    On the CPU it is evaluated in batches of a fixed size.
    Source: classifier-free guidance, arXiv:2207.12598.

    Args:
        network: with weights of `dtype`; it is given x and t in `shown_dtype(dtype)`.
        guidance: 1 is none, and costs no second evaluation.
        dim: number of coordinates of one sample.
        dtype: of the network's weights.
    """

    def guided(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        both = torch.cat([labels, torch.full_like(labels, -1)])
        twice = t if t.ndim == 0 else torch.cat([t, t])
        conditional, plain = network(torch.cat([x, x]), twice, both).chunk(2)
        return plain + guidance * (conditional - plain)

    size = max(fixed_batch_size(dim), network.tile)
    return fixed_size_batches(autocast_predict(network if guidance == 1.0 else guided, dtype), size)

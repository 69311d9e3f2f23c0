"""The loss as a module: what several processes or a compiler can wrap."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.interfaces import Network
from zoo.train.batch import Batch


class Objective(nn.Module):
    """A network and the mean of its loss over a batch.

    Args:
        network: the network.
        precision: "float32", or "bf16" for autocast.
    """

    def __init__(self, network: Network, precision: str) -> None:
        super().__init__()
        self.network, self.bf16 = network, precision == "bf16"

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean loss, a scalar."""
        with torch.autocast(batch.t.device.type, torch.bfloat16, enabled=self.bf16):
            more = {} if batch.augment is None else {"augment": batch.augment}
            loss = self.network.loss(batch.x_t, batch.t, batch.target, batch.labels, **more)
        return loss.mean()

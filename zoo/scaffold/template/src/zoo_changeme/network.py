"""A network that learns E[x_0 | x_t], from a plain backbone and the zoo's preconditioning."""

import torch
from torch import Tensor, nn
from zoo.interfaces import FieldKernel, check_integer
from zoo.networks import FEATURES, Preconditioned


class Backbone(nn.Module):
    """Two hidden layers that see the data and the noise level."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.into = nn.Linear(dim + FEATURES, width)
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, dim)

    def forward(self, x: Tensor, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the shape of x, (B, *); features are (B, 3), logarithms of noise levels."""
        h = torch.cat([x.flatten(1), features], dim=1)
        h = nn.functional.silu(self.hidden(nn.functional.silu(self.into(h))))
        out: Tensor = self.out(h)
        return out.reshape(x.shape)


def build(shape: tuple[int, ...], kernel: FieldKernel, *, width: int = 128) -> Preconditioned:
    """Build the network for data of any shape, flattened.

    Args:
        shape: of one sample.
        kernel: whose noise it sees.
        width: hidden units, at least 1.

    Raises:
        ZooError: an impossible width.
    """
    check_integer("width", width, 1)
    return Preconditioned(Backbone(kernel.dim, width), shape, kernel)

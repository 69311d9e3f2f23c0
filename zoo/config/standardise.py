"""Data of any size: the affine map between data units and the coordinates of the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from torch import Tensor

# Mean and scale of more would not fit into a config.json.
MOST = 10_000
_Numbers = Annotated[tuple[float, ...], Meta(min_length=1, max_length=MOST)]


class Standardise(Struct, frozen=True, forbid_unknown_fields=True):
    """x = mean + scale z: data x, and z, which kernel, prior, network and solver work with.

    One number of each per coordinate of vectors (d,), or per channel of images (C, H, W). A
    density in data units is that of z over |dx/dz|: log p(x) = log p(z) - `log_volume`.

    Attributes:
        mean: of the training data.
        scale: their standard deviation over the network's `sigma_data`, so that z has that one.

    Raises:
        ValueError: not finite, a scale that is not positive, or numbers that do not go together.
    """

    mean: _Numbers
    scale: _Numbers

    def __post_init__(self) -> None:
        """Check the numbers."""
        if len(self.mean) != len(self.scale):
            raise ValueError(f"{len(self.mean)} means and {len(self.scale)} scales")
        if not all(math.isfinite(m) for m in self.mean):
            raise ValueError("mean is not finite")
        if not all(0 < s < math.inf for s in self.scale):
            raise ValueError("scale has to be positive and finite")

    def apply(self, x: Tensor) -> Tensor:
        """Return z of data x, shape and dtype of x, (B, *shape)."""
        wide = x.double()
        z = (wide - self._along(wide, self.mean)) / self._along(wide, self.scale)
        return z.to(x.dtype)

    def undo(self, z: Tensor) -> Tensor:
        """Return the data x of z, shape and dtype of z, (B, *shape)."""
        wide = z.double()
        x = self._along(wide, self.mean) + wide * self._along(wide, self.scale)
        return x.to(z.dtype)

    def stretch(self, v: Tensor) -> Tensor:
        """Return the direction scale v in data units of a direction v of z, (B, *shape)."""
        return v * self._along(v, self.scale)

    def log_volume(self, shape: Sequence[int]) -> float:
        """Return log |det dx/dz| of one sample of `shape`, in nats."""
        return math.prod(shape[1:]) * sum(map(math.log, self.scale))

    def fits(self, shape: Sequence[int]) -> bool:
        """Return whether there is one mean per coordinate, or channel, of samples of `shape`."""
        return len(self.mean) == shape[0]

    @staticmethod
    def _along(x: Tensor, values: Sequence[float]) -> Tensor:
        return x.new_tensor(values).reshape(-1, *[1] * (x.ndim - 2))

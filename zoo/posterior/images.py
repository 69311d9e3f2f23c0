"""Operators on images (C, H, W): parts, blur, fewer pixels, no colour."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.interfaces import Operator, check_integer, check_positive
from zoo.interfaces.observation import Shape

# Radius of a blur in standard deviations.
_REACH = 4.0
# Rec. ITU-R BT.601, as Pillow's mode "L".
_LUMA = (0.299, 0.587, 0.114)


def _sizes(shape: Shape, whose: str) -> tuple[int, int, int]:
    """Return (C, H, W).

    Raises:
        ZooError: the data are no images.
    """
    if len(shape) != 3:
        raise ZooError(f"{whose} is for images (C, H, W); the data have shape {shape}")
    return shape[0], shape[1], shape[2]


class Crop(Operator):
    """A rectangle of the image.

    Args:
        top: first row.
        left: first column.
        height: rows.
        width: columns.

    Raises:
        ZooError: a number that is negative, or no size.
    """

    def __init__(self, top: int, left: int, height: int, width: int) -> None:
        self.top, self.left = check_integer("top", top, 0), check_integer("left", left, 0)
        self.height = check_integer("height", height, 1)
        self.width = check_integer("width", width, 1)

    def out_shape(self, shape: Shape) -> Shape:
        """Return (C, height, width).

        Raises:
            ZooError: the data are no images, or too small.
        """
        channels, height, width = _sizes(shape, "Crop")
        if self.top + self.height > height or self.left + self.width > width:
            raise ZooError(
                f"Crop takes rows {self.top}..{self.top + self.height - 1} and columns "
                f"{self.left}..{self.left + self.width - 1} of images of {height} x {width}"
            )
        return channels, self.height, self.width

    def forward(self, x: Tensor) -> Tensor:
        """Return the rectangle, (B, C, height, width)."""
        bottom, right = self.top + self.height, self.left + self.width
        return x[..., self.top : bottom, self.left : right]

    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """Return y with zeros around it, (B, *shape)."""
        below = shape[-2] - self.top - self.height
        right = shape[-1] - self.left - self.width
        return F.pad(y, (self.left, right, self.top, below))


class Blur(Operator):
    """A Gaussian blur; at the border the weights of the pixels there are add up to 1.

    Args:
        sigma: standard deviation, in pixels.

    Raises:
        ZooError: sigma is not positive.
    """

    def __init__(self, sigma: float) -> None:
        self.sigma = check_positive("sigma", sigma)

    def out_shape(self, shape: Shape) -> Shape:
        """Return `shape`.

        Raises:
            ZooError: the data are no images.
        """
        _sizes(shape, "Blur")
        return shape

    def _weights(self, size: int, like: Tensor) -> Tensor:
        """Return the matrix (size, size) that blurs a line."""
        place = torch.arange(size, dtype=torch.float64)
        distance = (place[:, None] - place) / self.sigma
        weights = torch.where(distance.abs() <= _REACH, (-distance.square() / 2).exp(), 0)
        return (weights / weights.sum(dim=1, keepdim=True)).to(like)

    def forward(self, x: Tensor) -> Tensor:
        """Return the blurred image, shape of x (B, C, H, W)."""
        rows, columns = self._weights(x.shape[-2], x), self._weights(x.shape[-1], x)
        return rows @ x @ columns.T

    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """Return the transposed blur, shape of y."""
        del shape
        rows, columns = self._weights(y.shape[-2], y), self._weights(y.shape[-1], y)
        return rows.T @ y @ columns


class Downscale(Operator):
    """Means of blocks of factor x factor pixels.

    Args:
        factor: a whole number of at least 2 that divides height and width.

    Raises:
        ZooError: it is none.
    """

    def __init__(self, factor: int) -> None:
        self.factor = check_integer("factor", factor, 2)

    def out_shape(self, shape: Shape) -> Shape:
        """Return (C, H / factor, W / factor).

        Raises:
            ZooError: the data are no images, or `factor` does not divide them.
        """
        channels, height, width = _sizes(shape, "Downscale")
        if height % self.factor or width % self.factor:
            raise ZooError(f"Downscale({self.factor}) does not divide images of {height} x {width}")
        return channels, height // self.factor, width // self.factor

    def forward(self, x: Tensor) -> Tensor:
        """Return the means, (B, C, H / factor, W / factor)."""
        *first, height, width = x.shape
        k = self.factor
        return x.reshape(*first, height // k, k, width // k, k).mean(dim=(-1, -3))

    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """Return y / factor^2 in every pixel of its block, (B, *shape)."""
        del shape
        k = self.factor
        return y.repeat_interleave(k, dim=-2).repeat_interleave(k, dim=-1) / k**2


class Grey(Operator):
    """The luma of colour images, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""

    def out_shape(self, shape: Shape) -> Shape:
        """Return (1, H, W).

        Raises:
            ZooError: the data are no images of 3 channels.
        """
        channels, height, width = _sizes(shape, "Grey")
        if channels != 3:
            raise ZooError(f"Grey is for images of 3 channels; these have {channels}")
        return 1, height, width

    def forward(self, x: Tensor) -> Tensor:
        """Return the luma, (B, 1, H, W)."""
        weights = x.new_tensor(_LUMA).reshape(3, 1, 1)
        return (x * weights).sum(dim=-3, keepdim=True)

    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """Return y in each channel, by its weight, (B, 3, H, W)."""
        del shape
        return y * y.new_tensor(_LUMA).reshape(3, 1, 1)

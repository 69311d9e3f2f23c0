"""DDPM++ and NCSN++ as networks of the zoo, with the preconditioning of EDM or of PFGM++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from zoo import ZooError
from zoo.interfaces import FieldKernel, Network, over
from zoo.networks import Preconditioned
from zoo_songunet.layers import Fourier, Positional
from zoo_songunet.network import SongUNet


class Design(NamedTuple):
    """What tells the two backbones apart: embedding, resampling filter, pyramid in the encoder."""

    noise: type[Positional] | type[Fourier]
    taps: tuple[int, ...]
    pyramid: bool


DDPMPP = Design(Positional, (1, 1), pyramid=False)
NCSNPP = Design(Fourier, (1, 3, 3, 1), pyramid=True)


@runtime_checkable
class Aligned(Protocol):
    """A kernel with a paper's own rule for the time of an EDM noise level, linear in it."""

    def aligned_time(self, sigma: float) -> float:
        """Return the time of level sigma: sigma sqrt D for PFGM++ (arXiv:2302.04265)."""


class AlignedDenoiser(Network):
    """D(x, t) = c_skip x + c_out F(c_in x, ln sigma), EDM's coefficients at sigma = t / sqrt D.

    What PFGM++'s networks were trained with: arXiv:2302.04265, section 4.

    Args:
        backbone: forward(x, features, labels) with features (B, 1), the log of sigma.
        per_level: time per noise level, sqrt D.
        labels: number of classes, 0 for none.
        augment: numbers per sample that tell how it was augmented, 0 for none.
        sigma_data: standard deviation of the data.
    """

    def __init__(
        self,
        backbone: nn.Module,
        per_level: float,
        *,
        labels: int,
        augment: int,
        sigma_data: float,
    ) -> None:
        super().__init__()
        if not sigma_data > 0:
            raise ZooError(f"sigma_data = {sigma_data}; expected a positive number")
        self.backbone, self.per_level = backbone, per_level
        self.labels, self.augment = labels, augment
        self.sigma_data: float = float(sigma_data)

    def _evaluate(
        self, x: Tensor, t: Tensor, labels: Tensor | None, augment: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (F, c_skip x, c_out), the latter shaped to broadcast."""
        sigma = (t / self.per_level).to(x).expand(len(x))
        scale = (sigma.square() + self.sigma_data**2).sqrt()
        raw: Tensor = self.backbone(x / over(scale, x), sigma.log()[:, None], labels, augment)
        skip = (self.sigma_data / scale).square()
        return raw, over(skip, x) * x, over(sigma * self.sigma_data / scale, x)

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x_t], shape (B, C, H, W); t is a scalar or (B,)."""
        raw, skip, scale = self._evaluate(x_t, t, labels)
        return skip + scale * raw

    def loss(
        self,
        x_t: Tensor,
        t: Tensor,
        target: Tensor,
        labels: Tensor | None = None,
        *,
        augment: Tensor | None = None,
    ) -> Tensor:
        """Return mean |F - F_target|^2 per sample, shape (B,): EDM's weight 1 / c_out^2."""
        raw, skip, scale = self._evaluate(x_t, t, labels, augment)
        return (raw - (target - skip) / scale).square().flatten(1).mean(dim=1)


def ddpmpp(
    shape: tuple[int, ...],
    kernel: FieldKernel,
    *,
    width: int = 128,
    multipliers: Sequence[int] = (2, 2, 2),
    blocks: int = 4,
    attention: Sequence[int] = (16,),
    labels: int = 0,
    augment: int = 0,
    dropout: float = 0.13,
    sigma_data: float = 0.5,
) -> Network:
    """Build DDPM++: positional embedding of the noise level, 2x2 mean pooling, nearest upsampling.

    The defaults are EDM's for 3x32x32 images, 55.7 M parameters; 64x64 takes multipliers
    (1, 2, 2, 2). The level is preconditioned as zoo.networks.precondition does, which under the
    Gaussian kernel is EDM's own way; under PFGM++, at sigma = t / sqrt D as in its paper.

    Args:
        shape: (C, H, H), H divisible by 2 per further resolution.
        kernel: the field kernel.
        width: channels at the finest resolution.
        multipliers: channels per resolution, times width.
        blocks: residual blocks per resolution.
        attention: sides in pixels of the resolutions with self-attention.
        labels: number of classes, 0 for none.
        augment: numbers per image that tell how it was augmented, 9 for `data.augment` of a
            recipe and in EDM's weights, 0 for none; sampling gives none.
        dropout: probability in [0, 1).
        sigma_data: standard deviation of the data.

    Raises:
        ZooError: the shape is not a square image's that halves evenly, or a size is impossible.
    """
    backbone = build(
        shape,
        DDPMPP,
        width=width,
        multipliers=multipliers,
        blocks=blocks,
        attention=attention,
        dropout=dropout,
        labels=labels,
        augment=augment,
    )
    return precondition(
        backbone, shape, kernel, labels=labels, augment=augment, sigma_data=sigma_data
    )


def ncsnpp(
    shape: tuple[int, ...],
    kernel: FieldKernel,
    *,
    width: int = 128,
    multipliers: Sequence[int] = (2, 2, 2),
    blocks: int = 4,
    attention: Sequence[int] = (16,),
    labels: int = 0,
    augment: int = 0,
    dropout: float = 0.13,
    sigma_data: float = 0.5,
) -> Network:
    """Build NCSN++: Fourier embedding, filters (1, 3, 3, 1), an image pyramid in the encoder.

    Arguments and errors as for `ddpmpp`.
    """
    backbone = build(
        shape,
        NCSNPP,
        width=width,
        multipliers=multipliers,
        blocks=blocks,
        attention=attention,
        dropout=dropout,
        labels=labels,
        augment=augment,
    )
    return precondition(
        backbone, shape, kernel, labels=labels, augment=augment, sigma_data=sigma_data
    )


def build(
    shape: tuple[int, ...],
    design: Design,
    *,
    width: int,
    multipliers: Sequence[int],
    blocks: int,
    attention: Sequence[int],
    dropout: float,
    labels: int = 0,
    augment: int = 0,
    more: int = 0,
) -> SongUNet:
    """Return a backbone whose options are checked; raises as `ddpmpp` does."""
    _check(shape, multipliers, attention, width=width, blocks=blocks)
    _check_more(dropout, labels=labels, augment=augment)
    return SongUNet(
        shape[0],
        shape[1],
        design.noise(width),
        width=width,
        multipliers=tuple(multipliers),
        blocks=blocks,
        attention=tuple(attention),
        taps=design.taps,
        pyramid=design.pyramid,
        labels=labels,
        augment=augment,
        dropout=dropout,
        more=more,
    )


def precondition(
    backbone: SongUNet,
    shape: tuple[int, ...],
    kernel: FieldKernel,
    *,
    labels: int,
    augment: int,
    sigma_data: float,
) -> Network:
    """Return the denoiser of a backbone: aligned where the kernel's paper says how."""
    if isinstance(kernel, Aligned):
        per_level = float(torch.as_tensor(kernel.aligned_time(1.0), device="cpu"))
        return AlignedDenoiser(
            backbone, per_level, labels=labels, augment=augment, sigma_data=sigma_data
        )
    return Preconditioned(
        backbone, shape, kernel, labels=labels, augment=augment, sigma_data=sigma_data
    )


def _check(
    shape: tuple[int, ...], multipliers: Sequence[int], attention: Sequence[int], **sizes: int
) -> None:
    """Raise ZooError for a shape or a size that no such network has."""
    lists = {"multipliers": multipliers, "attention": attention}
    for name, value in [*sizes.items(), *((n, v) for n, vs in lists.items() for v in vs)]:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ZooError(f"{name} = {value!r}; expected whole numbers of at least 1")
    if sizes["width"] % 4 or not multipliers:
        raise ZooError(
            f"width = {sizes['width']}, multipliers = {[*multipliers]}; expected a "
            "width divisible by 4 and at least one multiplier"
        )
    step = 2 ** (len(multipliers) - 1)
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] % step:
        raise ZooError(
            f"shape = {tuple(shape)}; expected a square image (C, H, H) with H divisible by {step}"
        )


def _check_more(dropout: float, **counts: int) -> None:
    """Raise ZooError for a dropout that is no probability, or a negative count."""
    if not 0 <= dropout < 1:
        raise ZooError(f"dropout = {dropout!r}; expected a probability below 1")
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ZooError(f"{name} = {value!r}; expected a whole number, 0 for none")

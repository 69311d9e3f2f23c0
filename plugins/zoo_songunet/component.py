"""DDPM++, NCSN++ and ADM as networks of the zoo, with the preconditioning of EDM or of PFGM++."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, Network, over
from zoo.networks import Evaluation, Preconditioned
from zoo_songunet.adm import DhariwalUNet
from zoo_songunet.network import DDPMPP, NCSNPP, SongUNet
from zoo_songunet.tree import Design, UNet


@runtime_checkable
class Aligned(Protocol):
    """A kernel with a paper's own rule for the time of an EDM noise level, linear in it."""

    def aligned_time(self, sigma: float) -> float:
        """Return the time of level sigma: sigma sqrt D for PFGM++ (arXiv:2302.04265)."""


class AlignedDenoiser(Preconditioned):
    """D(x, t) = c_skip x + c_out F(c_in x, ln sigma), EDM's coefficients at sigma = t / sqrt D.

    What PFGM++'s networks were trained with: arXiv:2302.04265, section 4. The one feature of the
    backbone is the log of sigma; `per_level` is the time per noise level, sqrt D.
    """

    reads_level = False

    def __init__(self, per_level: float, *others: Any, **options: Any) -> None:
        super().__init__(*others, **options)
        self.per_level = per_level

    def _evaluate(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor | None,
        augment: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Evaluation:
        del condition  # it takes none
        sigma = (t / self.per_level).to(x).expand(len(x))
        scale = (sigma.square() + self.sigma_data**2).sqrt()
        raw: Tensor = self.backbone(x / over(scale, x), sigma.log()[:, None], labels, augment)
        skip = (self.sigma_data / scale).square()
        return Evaluation(raw, over(skip, x) * x, over(sigma * self.sigma_data / scale, x))


@dataclass(frozen=True)
class EDM:
    """DDPM++ or NCSN++ with EDM's preconditioning.

    DDPM++ has a positional embedding of the noise level, 2x2 mean pooling and nearest upsampling;
    NCSN++ a Fourier embedding, filters (1, 3, 3, 1) and an image pyramid in the encoder. The
    defaults are EDM's for 3x32x32 images, 55.7 M parameters; 64x64 takes multipliers (1, 2, 2, 2).
    The level is preconditioned as zoo.networks.precondition does, which under the Gaussian kernel
    is EDM's own way; under PFGM++, at sigma = t / sqrt D as in its paper.

    Args:
        shape: (C, H, H), H divisible by 2 per further resolution.
        kernel: the field kernel.
        width: channels at the finest resolution.
        multipliers: channels per resolution, times width.
        blocks: residual blocks per resolution.
        attention: sides in pixels of the resolutions with self-attention.
        labels: number of classes, 0 for none.
        augment: numbers per image that say how it was augmented, 9 for `data.augment` of a
            recipe and in EDM's weights, 0 for none; sampling gives none.
        dropout: probability in [0, 1).
        sigma_data: standard deviation of the data.

    Raises:
        ZooError: the shape is not a square image's that halves evenly, or a size is impossible.
    """

    design: Design

    def __call__(
        self,
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
        """Return the denoiser, aligned where the kernel's paper says how."""
        sizes = width, multipliers, blocks, attention, dropout
        backbone = SongUNet(shape, self.design, *sizes, labels=labels, augment=augment)
        return _denoiser(backbone, shape, kernel, augment, sigma_data)


def adm(
    shape: tuple[int, ...],
    kernel: FieldKernel,
    *,
    width: int = 192,
    multipliers: Sequence[int] = (1, 2, 3, 4),
    blocks: int = 3,
    attention: Sequence[int] = (32, 16, 8),
    labels: int = 0,
    augment: int = 0,
    dropout: float = 0.1,
    sigma_data: float = 0.5,
) -> Network:
    """Build ADM (arXiv:2105.05233) with EDM's preconditioning, as EDM trained it.

    Its blocks scale and shift by the embedding, and attend with heads of 64 channels: stages of
    fewer channels do not attend. The defaults are EDM's for ImageNet at 3x64x64, which has
    labels = 1000: 296 M parameters. Arguments and errors are those of `ddpmpp`; besides,

    Raises:
        ZooError: heads of attention that would not divide the channels of a stage.
    """
    sizes = width, multipliers, blocks, attention, dropout
    backbone = DhariwalUNet(shape, *sizes, labels=labels, augment=augment)
    return _denoiser(backbone, shape, kernel, augment, sigma_data)


def _denoiser(
    backbone: UNet,
    shape: tuple[int, ...],
    kernel: FieldKernel,
    augment: int,
    sigma_data: float,
) -> Network:
    """Return the denoiser of a backbone, aligned where the kernel's paper says how."""
    kind: Callable[..., Network] = Preconditioned
    if isinstance(kernel, Aligned):
        per_level = float(torch.as_tensor(kernel.aligned_time(1.0), device="cpu"))
        kind = partial(AlignedDenoiser, per_level)
    labels = backbone.labels
    return kind(backbone, shape, kernel, labels=labels, augment=augment, sigma_data=sigma_data)


ddpmpp, ncsnpp = EDM(DDPMPP), EDM(NCSNPP)

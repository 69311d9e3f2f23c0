"""Preconditioning: what turns a bare network into a denoiser for any kernel at any noise level.

    D(x, t) = c_skip x + c_out F(c_in x, features)

with the coefficients of EDM (arXiv:2206.00364, table 1), written for x_t = alpha x_0 + s alpha n:

    c_in = 1 / sqrt(sigma^2 + alpha^2 sd^2)    c_skip = alpha sd^2 c_in^2    c_out = sigma sd c_in

so that F's target has unit variance at every level. Where t does not determine the noise level
of a sample (gravity: s = t / |eps_t|) it is estimated from x itself: a gravity loss scaled by t
has no finite expectation, since the level has no mean. Images show their level at every t. A
vector shows it only above the data's own spread sd; below, sigma is what few samples exceed, so
that c_out is never far below the error that cannot be avoided.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.interfaces import (
    FieldKernel,
    IsotropicKernel,
    Network,
    SelfSimilarKernel,
    check_positive,
    over,
)

FEATURES = 3
_NODES = 16
# Relative step of a derivative in t, within what `check_time` takes for rounding.
_NUDGE = 5e-7
# log-level features outside this range say nothing that the ends do not say.
_LOG_LOW, _LOG_HIGH = math.log(1e-3), math.log(300.0)


def haar_level(x: Tensor) -> Tensor:
    """Return Donoho's noise level: median |HH| / 0.6745, shape (B,), for images (B, C, H, W).

    HH is the finest diagonal Haar detail, where natural images have almost nothing.
    Source: Donoho and Johnstone, Biometrika 81 (1994), section 5.
    """
    height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
    x = x[..., :height, :width]
    top, bottom = x[..., 0::2, :], x[..., 1::2, :]
    detail = (top[..., 0::2] - top[..., 1::2] - bottom[..., 0::2] + bottom[..., 1::2]) / 2
    return detail.flatten(1).abs().median(dim=1).values / 0.6745


def norm_level(x: Tensor, sigma_data: float) -> Tensor:
    """Return sqrt(max(|x|^2 / d - sd^2, 0)), shape (B,): for data without a grid."""
    return (x.flatten(1).square().mean(dim=1) - sigma_data**2).clamp(min=0).sqrt()


class CappedLevel:
    """E[min(level, sd)^2 | t]^(1/2): the distance of x_t from x_0, if |x_t| does not determine it.

    A level far above sd shows in |x_t|; below, only its law given t is known. Its second moment
    may be infinite (gravity) while this one never is, which is what bounds the loss. By a
    quadrature whose nodes crowd towards the tail: quantiles 1 - 0.75 / 2^k of weight 2^-k / 2.
    """

    def __init__(self, kernel: IsotropicKernel, cap: float) -> None:
        self._kernel, self._cap = kernel, cap

    @cached_property
    def _unit(self) -> Tensor:
        """The levels at t = 1; not before they are needed, since networks are built on meta."""
        quantiles = 1 - 0.75 * 0.5 ** torch.arange(_NODES, dtype=torch.float64)
        return self._kernel.radial_icdf(quantiles, 1.0) / math.sqrt(self._kernel.dim)

    def __call__(self, t: Tensor) -> Tensor:
        """Return the level, shape of t (B,)."""
        times = t.detach().double()[:, None]
        halves = 0.5 ** torch.arange(_NODES, dtype=torch.float64, device=t.device)
        if isinstance(self._kernel, SelfSimilarKernel):
            levels = times * self._unit.to(t.device)
        else:
            q = (1 - 0.75 * halves).expand(len(times), -1)
            levels = self._kernel.radial_icdf(q.flatten(), times.expand_as(q).flatten())
            levels = levels.reshape(q.shape) / math.sqrt(self._kernel.dim)
        return (levels.clamp(max=self._cap).square() @ (halves / 2)).sqrt().to(t)


class Preconditioned(Network):
    """A backbone F(x, features, labels) made into E[x_0 | x_t], for any kernel.

    Features, shape (B, 3), are logarithms of: the sample's noise level, the root mean square of
    x_t / alpha_t, and the kernel's typical level at t. For a kernel whose velocity is not affine
    in x_0 the same output d is read as the field f = (sigma'/sigma) x + (alpha' - sigma' alpha
    / sigma) d, which is exact for any f and close to a denoiser for well-behaved kernels.

    Args:
        backbone: module with forward(x, features, labels) -> like x; with `augment`, given those
            numbers (B, augment) after the labels when training.
        shape: data shape (C, H, W) or (d,).
        kernel: the field kernel.
        labels: number of classes, 0 for none.
        augment: number of augmentation labels per sample, 0 for none.
        sigma_data: standard deviation of the data per coordinate, in data units.

    Raises:
        ZooError: sigma_data is not positive, or the kernel's random levels cannot be estimated.
    """

    def __init__(
        self,
        backbone: nn.Module,
        shape: tuple[int, ...],
        kernel: FieldKernel,
        *,
        labels: int = 0,
        augment: int = 0,
        sigma_data: float = 0.5,
    ) -> None:
        super().__init__()
        check_positive("sigma_data", sigma_data, below=1e15)  # its square is a float32
        if kernel.random_level and not isinstance(kernel, IsotropicKernel):
            raise ZooError(
                f"{type(kernel).__name__} has random levels and is not an IsotropicKernel: its "
                "levels cannot be estimated; write a Network of its own for it"
            )
        self.backbone, self.kernel = backbone, kernel
        self.labels, self.augment = labels, augment
        self.sigma_data: float = float(sigma_data)
        self.predicts: Literal["denoised", "field"] = "denoised" if kernel.affine else "field"
        grid = len(shape) == 3 and min(shape[1:]) >= 2
        self._capped: CappedLevel | None = None
        if isinstance(kernel, IsotropicKernel) and kernel.random_level and not grid:
            self._capped = CappedLevel(kernel, self.sigma_data)

    def _levels(self, x: Tensor, t: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return (alpha, sigma, typical), (B,): sigma per sample, estimated where t leaves it open.

        `typical` is the level that the kernel expects at t, or a better guess.
        """
        del labels
        alpha, typical = (c.to(x).expand(len(x)) for c in self.kernel.marginal(t))
        sigma = typical
        if self._capped is not None:
            hidden = self._capped(t.expand(len(x))).to(x)
            sigma = torch.maximum(norm_level(x, self.sigma_data), hidden)
        elif self.kernel.random_level:
            sigma = torch.maximum(haar_level(x), self.kernel.least_level(t).to(x))
        return alpha, sigma, typical

    def _scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return 1 / c_in, (B,)."""
        return (sigma.square() + (alpha * self.sigma_data).square()).sqrt()

    def _ask(
        self,
        inputs: Tensor,
        x: Tensor,
        levels: tuple[Tensor, Tensor, Tensor],
        labels: Tensor | None,
        augment: Tensor | None,
    ) -> Tensor:
        """Return the output of the backbone for `inputs`, with the features of x and its levels."""
        alpha, sigma, typical = levels
        rms = x.flatten(1).square().mean(dim=1).sqrt()
        features = torch.stack([sigma, rms, typical], dim=1) / alpha[:, None].clamp(min=1e-6)
        features = features.clamp(min=1e-12).log().clamp(_LOG_LOW, _LOG_HIGH)
        more = () if augment is None else (augment,)
        raw: Tensor = self.backbone(inputs, features, labels, *more)
        return raw.to(x.dtype)

    def _evaluate(
        self, x: Tensor, t: Tensor, labels: Tensor | None, augment: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (F, c_skip x, c_out), the latter shaped to broadcast."""
        levels = alpha, sigma, _ = self._levels(x, t, labels)
        scale = self._scale(alpha, sigma)
        raw = self._ask(x / over(scale, x), x, levels, labels, augment)
        skip = alpha * self.sigma_data**2 / scale.square()
        return raw, over(skip, x) * x, over(sigma * self.sigma_data / scale, x)

    def _rates(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return (a, b) of f = a x + b d: the field of the Gaussian path of equal marginal.

        By central differences, which ask nothing of the kernel; any a and b would be exact.
        """
        t = t.detach().double()
        alpha, sigma = self.kernel.marginal(t)
        ahead, behind = (self.kernel.marginal(t * (1 + h)) for h in (_NUDGE, -_NUDGE))
        d_alpha, d_sigma = ((p - m) / (2 * _NUDGE * t) for p, m in zip(ahead, behind, strict=True))
        growth = d_sigma / sigma
        return over(growth, x), over(d_alpha - growth * alpha, x)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Let torch.compile make the backbone's code; what is around it may not be traceable."""
        self.backbone.compile(*args, **kwargs)

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x_t], or the field where the kernel is not affine; shape (B, *)."""
        raw, skip, scale = self._evaluate(x_t, t, labels)
        out = skip + scale * raw
        if self.predicts == "denoised":
            return out
        a, b = self._rates(x_t, t)
        return a * x_t + b * out

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
        if self.predicts == "field":
            a, b = self._rates(x_t, t)
            target = (target - a * x_t) / b
        return (raw - (target - skip) / scale).square().flatten(1).mean(dim=1)

"""Preconditioning: what turns a bare network into a denoiser for any kernel at any noise level.

    D(x, t) = c_skip x + c_out F(c_in x, features)

with the coefficients of EDM (arXiv:2206.00364, table 1), written for x_t = alpha x_0 + s alpha n:

    c_in = 1 / sqrt(sigma^2 + alpha^2 sd^2)    c_skip = alpha sd^2 c_in^2    c_out = sigma sd c_in

so that F's target has unit variance at every level. Where t does not determine the noise level
of a sample (gravity: s = t / |eps_t|) it is estimated from x itself: a gravity loss scaled by t
has no finite expectation, since the level has no mean. Images show their level in their finest
details. A vector shows no more than its length, which far out may be noise or the tail of the
data: c_skip and c_out are then the best there are given |x_t| and t, from a table
(zoo.networks.levels), and c_in = 1 / sqrt(|x_t|^2 / d + sd^2). As t goes to 0, D goes to x on data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.interfaces import (
    FieldKernel,
    IsotropicKernel,
    Network,
    as_read,
    check_real,
    over,
)
from zoo.networks.condition import check_condition_shape, seen_condition
from zoo.networks.levels import LevelTable, open_table, rms

# Numbers of a noise level that networks are given.
FEATURES = 3
# Relative step of a derivative in t, within what `check_time` takes for rounding.
_NUDGE = 5e-7
# log-level features outside this range say nothing that the ends do not say.
_LOG_LOW, _LOG_HIGH = math.log(1e-3), math.log(300.0)


class Levels(NamedTuple):
    """What is known of the noise of samples: alpha, and levels in units of alpha_t x_0, each (B,).

    Attributes:
        alpha: the kernel's.
        sigma: the level of a sample, estimated where t leaves it open.
        typical: the level that the kernel expects at t, or a better guess.
        shown: the level that x alone shows.
    """

    alpha: Tensor
    sigma: Tensor
    typical: Tensor
    shown: Tensor


class Evaluation(NamedTuple):
    """D = skip + scale raw, raw being the backbone's F; skip and scale are shaped to broadcast.

    `levels` are those by which it was asked, None where the loss weighs by scale itself.
    """

    raw: Tensor
    skip: Tensor
    scale: Tensor
    levels: Levels | None = None


class Preconditioned(Network):
    """A backbone F(x, features, labels) made into E[x_0 | x_t], for any kernel.

    Features, shape (B, 3), are logarithms of: the sample's noise level, the root mean square of
    x_t / alpha_t (of vectors with a table `LevelTable.size`), and the kernel's typical level at t.
    For a kernel whose velocity is not affine in x_0 the same output d is read as the field f =
    (sigma'/sigma) x + (alpha' - sigma' alpha / sigma) d, which is exact for any f and close to a
    denoiser for well-behaved kernels.

    Args:
        backbone: module with forward(x, features, labels) -> like x; with `augment`, given those
            numbers (B, augment) after the labels when training; with `condition`, given the keyword
            condition=, as zoo.networks.seen_condition makes it.
        shape: data shape (C, H, W) or (d,).
        kernel: the field kernel.
        labels: number of classes, 0 for none.
        augment: number of augmentation labels per sample, 0 for none.
        sigma_data: standard deviation of the data per coordinate, in data units.
        condition: shape of one condition, None for none.

    Raises:
        ZooError: sigma_data is not positive, or the kernel's random levels cannot be estimated.
    """

    # Whether `_levels` is what says how noisy a sample is.
    reads_level = True

    def __init__(
        self,
        backbone: nn.Module,
        shape: tuple[int, ...],
        kernel: FieldKernel,
        *,
        labels: int = 0,
        augment: int = 0,
        sigma_data: float = 0.5,
        condition: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        expected = "a positive number, 1e-15 to 1e15"  # its square is a float32
        check_real("sigma_data", sigma_data, expected, least=1e-15, below=1e15)
        if kernel.random_level and not isinstance(kernel, IsotropicKernel):
            raise ZooError(
                f"{type(kernel).__name__} has random levels and is not an IsotropicKernel: its "
                "levels cannot be estimated; write a Network of its own for it"
            )
        self.backbone, self.kernel = backbone, kernel
        self.labels, self.augment = labels, augment
        self.condition = check_condition_shape(condition)
        self.sigma_data: float = float(sigma_data)
        self.predicts: Literal["denoised", "field"] = "denoised" if kernel.affine else "field"
        self.table: LevelTable | None = None
        if isinstance(kernel, IsotropicKernel) and kernel.random_level and self.reads_level:
            self.table = LevelTable(kernel, shape, self.sigma_data)

    @property
    def learns_from_data(self) -> bool:
        """Whether `fit` has something to learn."""
        return self.table is not None

    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        """Learn from data (n, *shape) how their size or detail is told from noise."""
        del labels
        if self.table is not None:
            self.table.fit(x)

    def state_of(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the state in the tensors of a file: images of before the table have none.

        Raises:
            ZooError: a vector model of before it, which is wrong below the data's own spread.
        """
        if self.table is None or not tensors:
            return tensors
        if any(name.startswith("table.") for name in tensors):
            absent = {} if self.table.of_images else {"table.near": torch.zeros(())}
            return {**absent, **tensors}
        if not self.table.of_images:
            raise ZooError(
                f"it is a vector model of {type(self.kernel).__name__} that was trained by an "
                "earlier version, whose denoiser takes far points for noise; train it anew"
            )
        return {**tensors, **{f"table.{k}": v for k, v in open_table().items()}}

    def _levels(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Levels:
        alpha, typical = (c.to(x).expand(len(x)) for c in self.kernel.marginal(t))
        if self.table is None:
            return Levels(alpha, typical, typical, typical)
        reading = self.table.reading(x)
        bound = self.table(reading, t.expand(len(x)))[:, 0].exp()
        shown = bound
        if self.table.of_images:
            shown = as_read(self._shown(x, alpha, self.table.shown(reading, t), labels))
            bound = as_read(bound)
        return Levels(alpha, torch.minimum(shown, bound), typical, shown)

    def _shown(self, x: Tensor, alpha: Tensor, rough: Tensor, labels: Tensor | None) -> Tensor:
        """Return the level that images show, (B,), from a rough estimate of it."""
        del x, alpha, labels
        return rough

    def _scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return 1 / c_in, (B,)."""
        return (sigma.square() + (alpha * self.sigma_data).square()).sqrt()

    def _error(self, alpha: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        """Return c_out, what D errs by at a level, (B,)."""
        del labels
        return sigma * self.sigma_data / self._scale(alpha, sigma)

    def _predict(
        self,
        inputs: Tensor,
        x: Tensor,
        levels: Levels,
        labels: Tensor | None,
        augment: Tensor | None,
        condition: Tensor | None,
    ) -> Tensor:
        """Return the output of the backbone for `inputs`, with the features of x and its levels."""
        alpha, sigma, typical, _ = levels
        table = self.table
        size = rms(x) if table is None or table.of_images else table.size(x, alpha, typical)
        features = torch.stack([sigma, size, typical], dim=1) / alpha[:, None].clamp(min=1e-6)
        features = features.clamp(min=1e-12).log().clamp(_LOG_LOW, _LOG_HIGH)
        more = () if augment is None else (augment,)
        known = {}
        if self.condition is not None:
            known = {"condition": seen_condition(condition, self.condition, x)}
        raw: Tensor = self.backbone(inputs, features, labels, *more, **known)
        return raw.to(x.dtype)

    def _evaluate(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor | None,
        augment: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Evaluation:
        if self.table is not None and not self.table.of_images:
            return self._evaluate_vectors(self.table, x, t, labels, augment, condition)
        levels = self._levels(x, t, labels)
        alpha, sigma, *_ = levels
        scale = self._scale(alpha, sigma)
        raw = self._predict(x / over(scale, x), x, levels, labels, augment, condition)
        skip = alpha * self.sigma_data**2 / scale.square()
        error = over(self._error(alpha, sigma, labels), x)
        return Evaluation(raw, over(skip, x) * x, error, levels)

    def _evaluate_vectors(
        self,
        table: LevelTable,
        x: Tensor,
        t: Tensor,
        labels: Tensor | None,
        augment: Tensor | None,
        condition: Tensor | None,
    ) -> Evaluation:
        """Ask the backbone where |x| and t alone say how far x_t is from x_0."""
        alpha, typical = (c.to(x).expand(len(x)) for c in self.kernel.marginal(t))
        radius = table.reading(x)
        _, log_error, logit = table(radius, t.expand(len(x))).unbind(dim=1)
        error = log_error.exp()
        scale = (radius.square() + self.sigma_data**2).sqrt()
        levels = Levels(alpha, error, typical, error)
        raw = self._predict(x / over(scale, x), x, levels, labels, augment, condition)
        return Evaluation(raw, over(logit.sigmoid(), x) * x, over(error, x))

    def _rates(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return (a, b) of f = a x + b d: the field of the Gaussian path of equal marginal.

        By central differences, which ask nothing of the kernel; any a and b would be exact.
        """
        t = t.detach().double()
        # Asked once: of some kernels a level is the root of an equation.
        times = torch.stack([t, t * (1 + _NUDGE), t * (1 - _NUDGE)])
        levels = [c.reshape(times.shape) for c in self.kernel.marginal(times.flatten())]
        alpha, sigma = (c[0] for c in levels)
        d_alpha, d_sigma = ((c[1] - c[2]) / (2 * _NUDGE * t) for c in levels)
        growth = d_sigma / sigma
        return over(growth, x), over(d_alpha - growth * alpha, x)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Let torch.compile make the backbone's code; what is around it may not be traceable."""
        self.backbone.compile(*args, **kwargs)

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        labels: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return E[x_0 | x_t], or the field where the kernel is not affine; shape (B, *)."""
        raw, skip, scale, _ = self._evaluate(x_t, t, labels, None, condition)
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
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return mean |D - target|^2 / c_out^2 per sample, shape (B,): EDM's weight.

        c_out is that of the level which x alone shows: training draws levels evenly that are rare
        given t, and by what is known from t their errors would outweigh all others.
        """
        raw, skip, scale, levels = self._evaluate(x_t, t, labels, augment, condition)
        error = scale
        if levels is not None:
            error = over(self._error(levels.alpha, levels.shown, labels), x_t)
        if self.predicts == "field":
            a, b = self._rates(x_t, t)
            target = (target - a * x_t) / b
        return ((scale * raw + skip - target) / error).square().flatten(1).mean(dim=1)

"""What one step trains on: a function of (seed, step) and of the position in the whole batch.

Every process draws the noise of the whole batch from one seed and keeps its own shard. Noise is
cheap compared with the network, and so two processes with half a batch each train on the same
numbers as one process with the whole of it.

The network learns E[target | x_t]. One sample's x_0 (or velocity) has that mean. The average over
a reference batch of n images, weighted by the posterior p(x_0 | x_t), has nearly the same mean and
less variance; with the whole data set as reference it is the exact field (zoo.exact).
Source: stable target field, arXiv:2302.00670, eq. 7.

The levels are EDM's, ln sigma ~ N(-1.2, 1.2^2) (arXiv:2206.00364, table 1), carried to every kernel
by radius matching. A kernel whose sample level is a function of t gets the t of that level. Where
the level is random given t (gravity) and the dimension is high, the level is drawn first and t
follows from the draw z, x_t = x_0 + t z: t = level sqrt(d) / |z|. This is the distribution of
log-uniform t, reweighted by a function of the level. x_t determines the level to a relative
1 / sqrt(2 d), so the regression keeps its minimiser, and every kernel trains on the same levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from zoo.data.augment import flip, geometric
from zoo.interfaces import FieldKernel, SelfSimilarKernel, over
from zoo.interfaces.network import Predicts
from zoo.models.exact.network import ExactDenoiser, ExactField
from zoo.networks.levels import shows_level
from zoo.numerics.rows import beside
from zoo.sampling.rng import step_seed
from zoo.training.plan import Plan

# So many of the times are drawn evenly from all that a solver visits, where t alone says little of
# the level: the errors at levels that the log-normal law hardly has are not small there.
_ANYWHERE = 0.25
# Below this dimension x_t does not determine its own noise level well enough.
_LEVEL_IS_VISIBLE = 48


@dataclass(frozen=True)
class Batch:
    """Samples to train on.

    Attributes:
        x_t: noised data, (B, *shape).
        t: times, (B,).
        target: x_0 or the conditional velocity, (B, *shape).
        labels: class numbers, -1 where hidden, (B,); or None.
        augment: how the images were augmented, (B, zoo.data.augment.LABELS); or None.
        condition: as the network sees it, NaN where hidden, (B, *); or None.
    """

    x_t: Tensor
    t: Tensor
    target: Tensor
    labels: Tensor | None = None
    augment: Tensor | None = None
    condition: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        more = (self.labels, self.augment, self.condition)
        x_t, t, target = (c.to(device) for c in (self.x_t, self.t, self.target))
        return Batch(x_t, t, target, *(None if c is None else c.to(device) for c in more))

    def split(self, parts: int) -> list[Batch]:
        """Return the batch in so many equal parts, in order."""
        columns = (self.x_t, self.t, self.target, self.labels, self.augment, self.condition)
        cut = [[None] * parts if c is None else c.chunk(parts) for c in columns]
        return [Batch(*row) for row in zip(*cut, strict=True)]


class NoiseDistribution(Protocol):
    """The distribution of (x_t, t) given x_0; a kernel may bring its own as `noise_law`."""

    def draw(
        self, kernel: FieldKernel, x_0: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return (x_t, t), shapes (B, *) and (B,)."""


@dataclass(frozen=True)
class LogNormalLevels:
    """ln level ~ N(mean, std^2), in data units."""

    mean: float = -1.2
    std: float = 1.2

    def draw(
        self, kernel: FieldKernel, x_0: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return (x_t, t), shapes (B, *) and (B,): noise of a random level on x_0."""
        normal = torch.randn(len(x_0), generator=generator, device=x_0.device)
        level = (self.mean + self.std * normal.double()).exp()
        if not (kernel.random_level and shows_level(tuple(x_0.shape[1:]))):
            t = kernel.time_at(level).to(x_0)
            if kernel.random_level:
                t = self._spread(kernel, t, generator)
            return kernel.sample(x_0, t, generator), t
        if not isinstance(kernel, SelfSimilarKernel) or kernel.dim < _LEVEL_IS_VISIBLE:
            t = kernel.time_at(level).to(x_0)
            return kernel.sample(x_0, t, generator), t
        z = kernel.unit_sample(x_0, generator)
        spread = z.flatten(1).double().norm(dim=1) / math.sqrt(kernel.dim)
        t = (level / spread).clamp(kernel.t_min, kernel.t_max).to(x_0)
        return x_0 + over(t, x_0) * z, t

    def _spread(self, kernel: FieldKernel, t: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return times (B,), a quarter of them drawn anew, evenly in their logarithm."""
        q, chosen = torch.rand(2, len(t), generator=generator, device=t.device)
        anywhere = kernel.t_min * (kernel.t_max / kernel.t_min) ** q
        return torch.where(chosen < _ANYWHERE, anywhere.to(t), t)


def noise_distribution(kernel: FieldKernel, mean: float, std: float) -> NoiseDistribution:
    """Return the kernel's own distribution where it brings one, else LogNormalLevels."""
    own: NoiseDistribution | None = getattr(kernel, "noise_law", None)
    return LogNormalLevels(mean, std) if own is None else own


class BatchSampler:
    """The batches of a plan.

    Args:
        plan: recipe, data, kernel and network; the network's `predicts` names the target, and its
            `labels` says whether it takes classes.
        device: where the batches go.
    """

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self.recipe, self.data, self.kernel = plan.recipe, plan.data, plan.kernel
        self.predicts = plan.network.predicts
        self.device = device
        train = plan.recipe.train
        self.noise = noise_distribution(plan.kernel, train.level_mean, train.level_std)
        self.labelled = bool(plan.network.labels) and plan.data.labels is not None

    def images(self) -> tuple[Tensor, Tensor]:
        """Draw images, mirrored if the recipe says so, and return them with their numbers.

        The first `batch` are to train on. With a reference batch there are more, and no image
        is there twice.
        """
        plan = self.recipe.train
        if plan.reference_batch is None:
            indices = torch.randint(len(self.data), (plan.batch,))
        else:
            indices = torch.randperm(len(self.data))[: plan.reference_batch]
        x = self.data.batch(indices).to(self.device)
        return (flip(x) if self.recipe.data.flip else x), indices

    def labels(self, indices: Tensor) -> Tensor | None:
        """Return the labels of the images numbered `indices`, some hidden (-1) for guidance."""
        if not self.labelled or self.data.labels is None:
            return None
        dropped = torch.rand(len(indices)) < self.recipe.train.label_dropout
        return torch.where(dropped, -1, self.data.labels[indices]).to(self.device)

    def conditions(
        self, x_0: Tensor, indices: Tensor, labels: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the conditions of the samples x_0 with these numbers, and their labels.

        Some are hidden (NaN) for guidance, together with the label.
        """
        condition = self.data.conditions(x_0, indices)
        if condition is None:
            return None, labels
        dropped = (torch.rand(len(x_0)) < self.recipe.train.condition_dropout).to(self.device)
        each = beside(dropped, condition)
        if labels is not None:
            labels = torch.where(dropped, -1, labels)
        return torch.where(each, math.nan, condition), labels

    def batch(self, step: int, shard: slice) -> Batch:
        """Return the samples of step number `step` (from 0) at the positions `shard`."""
        torch.manual_seed(step_seed(self.recipe.train.seed, step))
        plan = self.recipe.train
        augment = None
        images, indices = self.images()
        x_0, labels = images[: plan.batch], self.labels(indices[: plan.batch])
        if self.recipe.data.augment:
            x_0, augment = geometric(x_0, self.recipe.data.augment, ends=self.data.ends(x_0))
        condition, labels = self.conditions(x_0, indices[: plan.batch], labels)
        x_t, t = self.noise.draw(self.kernel, x_0)
        x_0, x_t, t = x_0[shard], x_t[shard], t[shard]
        if plan.reference_batch is None:
            target = single_target(self.kernel, self.predicts, x_t, t, x_0)
        else:
            target = stable_target(self.kernel, self.predicts, x_t, t, images)
        more = (None if c is None else c[shard] for c in (labels, augment, condition))
        return Batch(x_t, t, target, *more)


def single_target(
    kernel: FieldKernel, predicts: Predicts, x_t: Tensor, t: Tensor, x_0: Tensor
) -> Tensor:
    """Return x_0, or the conditional velocity, shape (B, *)."""
    return x_0 if predicts == "denoised" else kernel.velocity(x_t, x_0, t)


def stable_target(
    kernel: FieldKernel, predicts: Predicts, x_t: Tensor, t: Tensor, reference: Tensor
) -> Tensor:
    """Return sum_i w_i x_i, or sum_i w_i v(x_t, x_i, t), with w = softmax_i log G_1(x_t, x_i, t).

    Computed in float64: at small t squared distances have to be right to more than 1e-7.

    Args:
        kernel: the field kernel.
        predicts: "denoised" for x_0, "field" for the velocity.
        x_t: noised data, (B, *).
        t: times, (B,).
        reference: images x_i (n, *), those among them that x_t was made from.
    """
    exact = ExactDenoiser if predicts == "denoised" else ExactField
    target: Tensor = exact(kernel, reference.double())(x_t.double(), t.double())
    return target.to(x_t)

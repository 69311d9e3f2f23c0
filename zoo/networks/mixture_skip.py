"""Preconditioning whose skip connection is the denoiser of a mixture fitted to the data.

    D(x, t) = M(x) + error fade F([c_in x, M(x) / sd], features),   fade = 1 / (1 + (s / 12 sd)^4)

M is the mixture's denoiser (zoo.networks.mixture), in the place of EDM's c_skip x, and `error` its
measured distance from x_0, in that of c_out (arXiv:2206.00364, table 1). The network fades at
levels s far above the data's spread sd: there M is as good as optimal, and hardly any image to
train on has so much noise, while a heavy-tailed prior starts at any level. With a condition, of
which M knows nothing, it does not fade.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.interfaces import FieldKernel, over
from zoo.networks.mixture import Mixture
from zoo.networks.mixture_fit import fit
from zoo.networks.precondition import Evaluation, Levels, Preconditioned

# In units of sd: half of the network's part is left at this level.
_FADE = 12.0


class MixtureSkip(Preconditioned):
    """A backbone F that learns what the mixture leaves of E[x_0 | x_t], for any kernel.

    Where images hide their level from t it is read where the data have least, by the mixture.

    Args:
        backbone: as for `Preconditioned`, but shown twice the channels.
        shape: data shape (C, H, W) or (d,).
        kernel: the field kernel.
        mixture: fitted to the data when training begins; with as many classes as `labels`.
        labels: number of classes, 0 for none.
        sigma_data: standard deviation of the data per coordinate, in data units.
        condition: shape of one condition, None for none.

    Raises:
        ZooError: as for `Preconditioned`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        shape: tuple[int, ...],
        kernel: FieldKernel,
        mixture: Mixture,
        *,
        labels: int = 0,
        sigma_data: float = 0.5,
        condition: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            backbone, shape, kernel, labels=labels, sigma_data=sigma_data, condition=condition
        )
        self.mixture = mixture

    @property
    def learns_from_data(self) -> bool:
        """Always: the mixture does."""
        return True

    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        """Fit the mixture to data (n, *shape) and their class numbers (n,).

        Raises:
            ZooError: there are too few data, or no class numbers where the network has labels.
        """
        super().fit(x, labels)
        fit(self.mixture, x.flatten(1), labels if self.labels else None)

    def _levels(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Levels:
        found = super()._levels(x, t, labels)
        if self.table is not None and self.table.of_images:
            # So well read that t has nothing to add: what is learned holds for any kernel.
            return found._replace(typical=found.sigma)
        return found

    def _shown(self, x: Tensor, alpha: Tensor, rough: Tensor, labels: Tensor | None) -> Tensor:
        return self.mixture.level(x.flatten(1), alpha, rough, labels)

    def _error(self, alpha: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        return self.mixture.error(sigma / alpha.clamp(min=1e-6), labels).to(sigma)

    def _evaluate(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor | None,
        augment: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Evaluation:
        """Ask the backbone, whose output fades, for what the mixture leaves."""
        levels = self._levels(x, t, labels)
        alpha, sigma, *_ = levels
        mixed = self.mixture(x.flatten(1), alpha, sigma, labels).reshape(x.shape)
        seen = x / over(self._scale(alpha, sigma), x)
        inputs = torch.cat([seen, mixed / self.sigma_data], dim=1)
        raw = self._predict(inputs, x, levels, labels, augment, condition)
        error = over(self._error(alpha, sigma, labels), x)
        if self.condition is not None:
            return Evaluation(raw, mixed, error, levels)
        level = sigma / alpha.clamp(min=1e-6)
        fade = 1 / (1 + (level / (_FADE * self.sigma_data)) ** 4)
        return Evaluation(over(fade.to(x.dtype), x) * raw, mixed, error, levels)

"""Preconditioning that knows what each column of vectors says without the others.

    D_i = M_i(x_i; s) + e_i(x_i; s) F_i([c_in x, asinh(x_i / sqrt(s^2 + sd^2))], features)

M and e (zoo.networks.columns) take the places of EDM's c_skip x and c_out (arXiv:2206.00364, table
1): F learns what connects the columns, and it sees each column on a scale of its own too, since in
a row that is far in one column c_in x of the others is too small to see. s is the level at t, and
the target of F has unit variance given x_i. Where t leaves the level open, s^2 = E[s^2 | |x_t|, t]
and the variance is of order 1 only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.interfaces import FieldKernel, over
from zoo.networks.columns import Columns
from zoo.networks.levels import rms
from zoo.networks.precondition import Evaluation, Levels, Preconditioned

# In units of sd: above this level nothing shows of any data.
_MOST_LEVEL = 1e5


class ColumnSkip(Preconditioned):
    """A backbone F that learns what the columns, one by one, leave of E[x_0 | x_t].

    Args:
        backbone: as for `Preconditioned`, but shown 2 d numbers (B, 2 d); returns (B, d).
        shape: data shape (d,).
        kernel: the field kernel.
        labels: number of classes, 0 for none.
        sigma_data: standard deviation of the data per coordinate, in data units.
        condition: as for `Preconditioned`.

    Raises:
        ZooError: as for `Preconditioned`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        shape: tuple[int, ...],
        kernel: FieldKernel,
        *,
        labels: int = 0,
        sigma_data: float = 0.5,
        condition: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            backbone, shape, kernel, labels=labels, sigma_data=sigma_data, condition=condition
        )
        self.columns = Columns(kernel.dim, self.sigma_data)

    @property
    def learns_from_data(self) -> bool:
        """Always: the columns do."""
        return True

    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        """Fit the columns, and the table of levels if there is one, to data (n, d)."""
        super().fit(x, labels)
        self.columns.fit(x.flatten(1))

    def _evaluate(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor | None,
        augment: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Evaluation:
        """Ask the backbone for what the columns do not say."""
        alpha, sigma = (c.to(x).expand(len(x)) for c in self.kernel.marginal(t))
        # In terms of sigma, not of alpha: alpha is 0 where flow matching begins.
        typical = (sigma / alpha).clamp(max=_MOST_LEVEL * self.sigma_data)
        x = over(typical / sigma, x) * x
        level = typical
        if self.table is not None:
            level = self.table(rms(x), t.expand(len(x)))[:, 0].exp()
        one = torch.ones_like(alpha)
        mean, error = self.columns(x, level)
        own = (x / over(self._scale(one, level), x)).asinh()
        seen = torch.cat([x / over(self._scale(one, rms(x)), x), own], dim=1)
        raw = self._predict(seen, x, Levels(one, level, typical, level), labels, augment, condition)
        return Evaluation(raw, mean, error)

"""One-dimensional denoisers of the columns of vectors: a mixture of Gaussians for each column.

    p_i = sum_k w_k N(m_ik, h_ik^2),   M_i(y; s) = E[x_i | x_i + s n = y],   e_i^2 its variance

are what there is to say of a column without the others. Quantiles of the column are its centres:
evenly many data to each in the middle, fewer and fewer towards both ends, down to single ones, so
that sharp edges and far values have components of their own.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

COMPONENTS = 32
# The part of the data in each of the middle components.
_MIDDLE = 1 / 16
# The log of no weight: finite, so that averages of weights are.
_NEVER = -1e4
# Half precision, in which weights may be stored, ends soon after.
_FARTHEST = 6e4
# Components are no narrower than this, in standard deviations.
_NARROWEST = 1e-3


class Columns(nn.Module):
    """Mixtures of COMPONENTS Gaussians, one of each column; until `fit`, N(0, sigma_data^2).

    Args:
        dim: number of columns d.
        sigma_data: standard deviation of the data per column.

    Attributes:
        centres: m, (d, COMPONENTS).
        widths: h, (d, COMPONENTS).
        weights: log w, (d, COMPONENTS).
    """

    def __init__(self, dim: int, sigma_data: float) -> None:
        super().__init__()
        self.sigma_data = sigma_data
        self.centres = nn.Buffer(torch.zeros(dim, COMPONENTS))
        self.widths = nn.Buffer(torch.full((dim, COMPONENTS), sigma_data))
        self.weights = nn.Buffer(torch.zeros(dim, COMPONENTS))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Learn from data (n, d)."""
        x = x.double().sort(dim=0).values
        counts = _counts(len(x))
        parts = x.split(counts)  # type: ignore[no-untyped-call]
        centres = torch.stack([part.mean(dim=0) for part in parts], dim=1)  # (d, k)
        spread = torch.stack([part.std(dim=0, correction=0) for part in parts], dim=1)
        ends = torch.cat([centres[:, :1], centres, centres[:, -1:]], dim=1)
        gaps = ends.diff(dim=1)
        widths = torch.maximum((gaps[:, 1:] + gaps[:, :-1]) / 4, spread)
        widths = widths.clamp(min=_NARROWEST * self.sigma_data)
        kept = len(counts)
        # Unused ones lie where a used one does: far away they would win by their width.
        self.weights.fill_(_NEVER)
        self.centres[:] = centres[:, :1].clamp(-_FARTHEST, _FARTHEST)
        self.widths[:] = widths[:, :1].clamp(max=_FARTHEST)
        self.centres[:, :kept] = centres.clamp(-_FARTHEST, _FARTHEST)
        self.widths[:, :kept] = widths.clamp(max=_FARTHEST)
        self.weights[:, :kept] = torch.tensor(counts, dtype=torch.float64).div(len(x)).log()

    def forward(self, y: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return M and e, each (B, d), of y (B, d) with noise of a level (B,)."""
        centres, widths, weights = (b.to(y) for b in (self.centres, self.widths, self.weights))
        noise, own = level.square()[:, None, None], widths.square()  # (B, 1, 1), (d, K)
        total = own + noise
        away = y[..., None] - centres
        chance = (weights - (total.log() + away.square() / total) / 2).softmax(dim=2)
        means = centres + own / total * away
        mean = (chance * means).sum(dim=2)
        within = own * noise / total
        spread = chance * (within + (means - mean[..., None]).square())
        return mean, spread.sum(dim=2).sqrt()


def _counts(n: int) -> list[int]:
    """Return how many of n sorted data belong to each component: 1, 2, 4, ... and back."""
    side: list[int] = []
    while sum(side) + 2 ** len(side) < n * _MIDDLE and len(side) < COMPONENTS // 4:
        side.append(2 ** len(side))
    left = n - 2 * sum(side)
    middle = min(COMPONENTS - 2 * len(side), left, math.ceil(1 / _MIDDLE))
    edges = [left * i // middle for i in range(middle + 1)]
    return [*side, *(b - a for a, b in itertools.pairwise(edges)), *side[::-1]]

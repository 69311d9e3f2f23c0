"""How a table of levels (zoo.networks.levels) is fitted: data with noise of each level, counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.interfaces import IsotropicKernel, over
from zoo.interfaces.isotropic import LEAST_QUANTILE
from zoo.interfaces.radial import directions

TIMES, READINGS, _LEVELS = 64, 256, 256
# Only one sample in a million has a level above the last of the table.
_MOST_QUANTILE = 1 - 1e-6
# Numbers that are worked on at a time.
NUMBERS = 2**22
# A probability that is none.
_NEVER = 1e-30
# What rows near the origin are means of: some part of all readings, or some number of them within
# this factor of the row's own.
_SOME, _ENOUGH, _WIDE = 0.02, 500, 2.0
# How much skip is drawn to that of white data, and the least part of that it is.
_RIDGE, _LEAST_LOST = 0.05, 0.01
_TINY = 1e-16
# Ranges of radii, and how many data at most stand for each.
_CELLS, _PER_CELL = 256, 8


class Means(NamedTuple):
    """Means of products of y = x_t / sqrt(d), y_0 = x_0 / sqrt(d) and the noise y - y_0."""

    noise: Tensor
    along: Tensor
    product: Tensor
    data: Tensor
    energy: Tensor

    def best_skip(self, typical: float, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logit of the best skip and E[(y_0 - skip y)^2].

        Args:
            typical: size of data.
            levels: typical ones of the times, (T, 1).
        """
        # Near the origin skip is of no weight, and what is counted of it is noise.
        white = self.noise.maximum(levels.square())
        white = white / (white + typical**2)
        ridge = _RIDGE * self.noise
        lost = (self.along + ridge * white) / (self.energy + ridge)  # 1 - skip
        lost = lost.maximum(_LEAST_LOST * white)
        skip = (self.product + ridge * (1 - white)) / (self.energy + ridge)
        skip = skip.maximum(_LEAST_LOST * (1 - white))
        near = self.noise - 2 * lost * self.along + lost.square() * self.energy
        far = self.data - 2 * skip * self.product + skip.square() * self.energy
        # Each way where it is no difference of large numbers.
        small = lost < 0.5
        lost, skip = lost.clamp(_TINY, 0.5), skip.clamp(_TINY, 0.5)
        logit = torch.where(small, lost.logit().neg(), skip.logit())
        return logit, torch.where(small, near, far).maximum(1e-4 * self.noise.clamp(max=typical**2))


class Observations:
    """Data with noise of each level, and how they are read.

    Args:
        x: data (I, *).
        weights: probability of each, (I,), float64.
        edges: of the ranges of levels, (J + 1,), increasing and evenly spaced in their logarithm.
        reading: what is read of a batch of x_t: (B,), positive.
        ends: least and largest reading of the table.
        noise_alone: of `Means`, only the mean of the noise is asked for.
    """

    def __init__(
        self,
        x: Tensor,
        weights: Tensor,
        edges: Tensor,
        reading: Callable[[Tensor], Tensor],
        ends: tuple[float, float],
        *,
        noise_alone: bool,
    ) -> None:
        count = len(edges) - 1
        self._noise_alone = noise_alone
        self.low, high = map(math.log, ends)
        self.step = (high - self.low) / (READINGS - 1)
        rows = 3 if noise_alone else 2 + len(Means._fields)
        self.sums = torch.zeros(rows, READINGS * count, dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        size = max(1, NUMBERS // (2 * x.numel()))
        for first in range(0, count, size):
            column = torch.arange(first, min(first + size, count)).repeat_interleave(len(x))
            clean = x.repeat(len(column) // len(x), *([1] * (x.ndim - 1)))
            within = torch.rand(len(column), generator=generator, dtype=torch.float64)
            levels = edges[column] * (edges[1] / edges[0]) ** within
            noise = directions(clean, generator) * over(levels * math.sqrt(x[0].numel()), clean)
            mass = weights.repeat(len(column) // len(x))
            for signed in (noise, -noise):  # what is of first order in the noise cancels
                noisy = clean + signed
                pairs = [(signed, signed)]
                if not noise_alone:
                    pairs += [(noisy, signed), (clean, noisy), (clean, clean), (noisy, noisy)]
                products = [(a * b).flatten(1).mean(dim=1) for a, b in pairs]
                seen = mass * torch.stack([torch.ones_like(levels), mass, *products])
                self._add(reading(noisy), column, count, seen)

    def _add(self, readings: Tensor, column: Tensor, count: int, seen: Tensor) -> None:
        """Add what was seen (K, B) to the two nearest rows of the readings (B,), in proportion."""
        position = (readings.clamp(min=1e-300).log() - self.low) / self.step
        position = position.clamp(0, READINGS - 1)
        row = position.floor().clamp(max=READINGS - 2)
        for shift, part in ((0, row + 1 - position), (1, position - row)):
            index = (row.long() + shift) * count + column
            self.sums.index_add_(1, index, seen * part)

    def means(self, probabilities: Tensor) -> list[Tensor]:
        """Return `Means` given the reading and the time, or the first of them, (T, READINGS) each.

        Rows that no data reach are those of the nearest that some do; those near the origin are
        smoothed. `probabilities` are of each range of levels at each time, (T, J).
        """
        kept = self.sums[[0, *range(2, len(self.sums))]]
        total, *sums = probabilities @ kept.reshape(len(kept), READINGS, -1).mT
        if not self._noise_alone:
            squares = probabilities.square() @ self.sums[1].reshape(READINGS, -1).mT
            wide = math.log(_WIDE) / self.step
            total, *sums = _smooth_near_origin(total, squares, sums, wide)
        nearest = _nearest(total > _NEVER)
        return [s.gather(1, nearest) / total.gather(1, nearest) for s in sums]


def _smooth_near_origin(
    total: Tensor, squares: Tensor, sums: list[Tensor], wide: float
) -> list[Tensor]:
    """Return sums (T, READINGS) of as many rows on each side as have enough of all readings.

    Of the lower half of all: toward the origin readings are rare, and what is counted of them is
    noise, while the law given h tends to one. Not of large ones, where levels grow with h. Enough
    is some part of all, or `wide` rows with some effective number, Kish's (Survey Sampling, 1965,
    section 11.7), so that few rows of data near the origin keep their own.
    """
    rows = torch.arange(READINGS)
    widths = rows[:, None]
    low, high = (rows - widths).clamp(min=0), (rows + widths + 1).clamp(max=READINGS)

    def within(s: Tensor, low: Tensor, high: Tensor) -> Tensor:
        until = nn.functional.pad(s.cumsum(1), (1, 0))
        return until[:, high] - until[:, low]

    whole = total.sum(1, keepdim=True)
    mass = within(total, low, high)
    number = mass.square() / within(squares, low, high).clamp(min=_NEVER)
    enough = (mass > _SOME * whole[:, None]) | ((number > _ENOUGH) & (widths >= wide))
    enough |= (total.cumsum(1) > whole / 2)[:, None]
    enough[:, -1] = True
    width = enough.int().argmax(dim=1)
    low, high = low[width, rows], high[width, rows]

    def summed(s: Tensor) -> Tensor:
        until = nn.functional.pad(s.cumsum(1), (1, 0))
        return torch.where(width == 0, s, until.gather(1, high) - until.gather(1, low))

    return [summed(s) for s in (total, *sums)]


def _nearest(there: Tensor) -> Tensor:
    """Return for each entry (T, N) the index of the nearest in its row that is there."""
    index = torch.arange(there.shape[1])
    distance = (index[:, None] - index).abs()  # (N, N)
    far = torch.where(there[:, None, :], distance, there.shape[1] + 1)
    return far.argmin(dim=2)


def level_probabilities(kernel: IsotropicKernel, edges: Tensor, times: Tensor) -> Tensor:
    """Return the probability of a level between two edges (J + 1,), at times (T,): (T, J)."""
    radii = (edges * math.sqrt(kernel.dim)).expand(len(times), -1)
    cdf = kernel.radial_cdf(radii.flatten(), times[:, None].expand_as(radii).flatten())
    return cdf.reshape(radii.shape).diff(dim=1).clamp(min=0)


def table_axes(kernel: IsotropicKernel) -> tuple[Tensor, Tensor]:
    """Return the edges of the ranges of levels of a kernel's table, and its times (TIMES,).

    Both float64, evenly spaced in their logarithms.
    """
    ends = torch.tensor([LEAST_QUANTILE, _MOST_QUANTILE], dtype=torch.float64)
    at = torch.tensor([kernel.t_min, kernel.t_max], dtype=torch.float64)
    levels = kernel.radial_icdf(ends, at) / math.sqrt(kernel.dim)
    edges, times = (
        _log_spaced(pair, count) for pair, count in ((levels, _LEVELS + 1), (at, TIMES))
    )
    times[0], times[-1] = at
    return edges, times


def _log_spaced(ends: Tensor, count: int) -> Tensor:
    """Return `count` numbers between two (2,), evenly spaced in their logarithms."""
    low, high = ends.log().tolist()
    return torch.linspace(low, high, count, dtype=torch.float64).exp()


def student_vectors(shape: tuple[int, ...], sigma_data: float) -> Tensor:
    """Return vectors (n, *shape) of a Student law with 4 degrees of freedom."""
    dim = math.prod(shape)
    count = max(16, min(256, 2**13 // dim))
    generator = torch.Generator(device="cpu").manual_seed(0)
    x = torch.randn(16 * count, dim, generator=generator, dtype=torch.float64)
    chi = torch.randn(16 * count, 4, generator=generator, dtype=torch.float64).square().sum(dim=1)
    scale = sigma_data * (2 / chi).sqrt()  # E[2 / chi^2_4] = 1
    return (x * scale[:, None]).reshape(-1, *shape)


def spread_nodes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return data for a table and the probability of each: few of many where these are alike.

    Some of each range of radii, however rare, and beyond the largest those that the tail goes on
    with: a Pareto law whose index is Hill's estimate (Annals of Statistics 3, 1975, eq. 2.3), from
    the largest sqrt(n) radii.

    Args:
        x: data (n, d).
    """
    radii, order = x.double().square().mean(dim=1).sqrt().clamp(min=1e-30).sort()
    x = x[order]
    n, top = len(x), math.isqrt(len(x))
    logs = radii.log()
    cell = ((logs - logs[0]) / (logs[-1] - logs[0]).clamp(min=1e-12) * (_CELLS - 1)).round().long()
    counts = cell.bincount(minlength=_CELLS)
    starts = counts.cumsum(0) - counts
    chosen, weights = [], []
    for c in counts.nonzero().flatten().tolist():
        count = int(counts[c])
        kept = min(count, _PER_CELL)
        places = (torch.arange(kept) + 0.5) * count / kept
        chosen.append(int(starts[c]) + places.long())
        weights.append(torch.full((kept,), count / kept / n, dtype=torch.float64))
    index, weight = torch.cat(chosen), torch.cat(weights)
    # The tail: log radius above the threshold is exponential.
    threshold = logs[max(n - top - 1, 0)]
    mean = float((logs[n - top :] - threshold).mean())
    if top < 4 or mean < 1e-12:  # too few, or the farthest are all equally far
        return x[index], weight
    body = index < n - top
    heights = torch.linspace(0, 16 * mean, 129, dtype=torch.float64)
    mass = (top / n) * -(-heights / mean).exp().diff()
    middle = (heights[1:] + heights[:-1]) / 2
    far = x[n - top :]
    some = far[torch.arange(len(middle)) * 7919 % top]
    scale = (threshold + middle).exp() / some.double().square().mean(dim=1).sqrt()
    tail = some * scale[:, None].to(some)
    return torch.cat([x[index[body]], tail]), torch.cat([weight[body], mass])

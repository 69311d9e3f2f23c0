"""How well the tails of samples are those of data: quantiles and more, of columns and of lengths.

Of numbers x drawn by the model and y of the data, with quantiles Q and some centre c of y:

    q0.1, q1, q99, q99.9   (Q_x(p) - Q_y(p)) / |Q_y(p) - c|, relative errors
    cvar                   relative error of the mean of the largest 1 %
    hill                   1 / nu_x - 1 / nu_y with Hill's tail indices nu of the largest 1 %
    wasserstein            W_1 / E|y - c|, where W_1 = int |F_x - F_y|
    ks                     sup |F_x - F_y|, Kolmogorov and Smirnov's statistic

The length of a row is sqrt(sum_i ((x_i - c_i) / s_i)^2 / d), c_i and s_i median and interquartile
range of column i of the data, so that no unit outweighs the others; for lengths c = 0. For columns
c is the median, `cvar` and `hill` are those of |x_i - c_i|, and a figure is the mean over columns
of its size, for `ks` the largest. The figures of data and other data are not 0 but small.

Sources: t-EDM, arXiv:2410.14171, section 4; Hill, Annals of Statistics 3 (1975), equation 2.3.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from zoo.numerics import hill

QUANTILES = (0.001, 0.01, 0.99, 0.999)
# Two rows are beyond the outermost quantiles.
LEAST_ROWS = 2_000
_NEAR = 0.01
_OF_ONE = (*(f"q{100 * p:g}" for p in QUANTILES), "cvar", "hill", "wasserstein", "ks")
TAILS = tuple(f"{what}_{name}" for what in ("length", "column") for name in _OF_ONE)


def tail_figures(samples: Tensor, data: Tensor) -> Tensor:
    """Return the figures called TAILS of samples (n, d) and data (m, d), (16,), float64."""
    x, y = samples.double(), data.double()
    ends = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    low, centre, high = _quantiles(y, ends)
    spread = high - low
    spread = torch.where(spread > 0, spread, (y - centre).abs().mean(dim=0))
    spread = torch.where(spread > 0, spread, 1.0)
    drawn, there = (_lengths(v, centre, spread) for v in (x, y))
    of_lengths = _figures(drawn, there, torch.zeros(1, dtype=torch.float64))[:, 0]
    columns = _figures(x, y, centre).abs()
    of_columns = columns.mean(dim=1)
    of_columns[-1] = columns[-1].max()
    return torch.cat([of_lengths, of_columns])


def _lengths(x: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    """Return the root mean square of (x_i - centre_i) / spread_i for rows x (n, d), (n, 1)."""
    return ((x - centre) / spread).square().mean(dim=1, keepdim=True).sqrt()


def _quantiles(x: Tensor, p: Tensor) -> Tensor:
    """Return the quantiles p (k,) of each column of x (n, d), shape (k, d)."""
    return torch.from_numpy(np.quantile(x.numpy(), p.numpy(), axis=0))


def _figures(x: Tensor, y: Tensor, centre: Tensor) -> Tensor:
    """Return the figures of each column of x (n, d) and y (m, d), shape (8, d)."""
    p = torch.tensor(QUANTILES, dtype=torch.float64)
    far, there = ((v - centre).abs() for v in (x, y))
    mean = there.mean(dim=0)
    mean = torch.where(mean > 0, mean, 1.0)  # of a column that does not vary
    wanted = _quantiles(y, p)
    # Of what is nearly c no relative error is of use.
    quantiles = (_quantiles(x, p) - wanted) / (wanted - centre).abs().maximum(_NEAR * mean)
    largest, expected = (_largest(v).mean(dim=0) for v in (far, there))
    pairs = [(x[:, i].numpy(), y[:, i].numpy()) for i in range(x.shape[1])]
    distance = torch.tensor([stats.wasserstein_distance(a, b) for a, b in pairs])
    return torch.stack(
        [
            *quantiles,
            (largest - expected) / expected.maximum(mean),
            torch.tensor(
                [1 / _index(a) - 1 / _index(b) for a, b in zip(far.T, there.T, strict=True)]
            ),
            distance / mean,
            torch.tensor([stats.ks_2samp(a, b, method="asymp").statistic for a, b in pairs]),
        ]
    )


def _largest(x: Tensor) -> Tensor:
    """Return the largest 1 % of each column of x (n, d)."""
    return x.topk(max(1, len(x) // 100), dim=0).values


def _index(x: Tensor) -> float:
    return hill(x, max(1, len(x) // 100))

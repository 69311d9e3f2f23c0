"""Where a column of numbers lies and how far it spreads, heavy tails or not."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# The width of the middle 90 % of a Gaussian, in standard deviations.
_MIDDLE = 3.2897
# A column whose deviation is so many times that of a Gaussian of the same middle has heavy tails.
_HEAVY = 2.0
# A spread below this part of the largest value is rounding.
ROUNDING = 1e-13


def centre_and_spread(column: NDArray[np.float64]) -> tuple[float, float, bool]:
    """Return the mean and the standard deviation of a column, and whether it has heavy tails.

    A column whose deviation is more than twice that of a Gaussian with the same middle 90 % has:
    then they are the median and that deviation. The deviation is 0 of a constant column.
    """
    centre = column.mean()
    most = np.abs(column - centre).max()
    if most <= ROUNDING * np.abs(column).max():
        return float(centre), 0.0, False
    deviation = most * math.sqrt((((column - centre) / most) ** 2).mean())
    low, median, high = np.quantile(column, [0.05, 0.5, 0.95])
    middle = (high - low) / _MIDDLE
    if 0 < _HEAVY * middle < deviation:
        return float(median), float(middle), True
    return float(centre), float(deviation), False

"""Checks of the options that solvers share."""

from __future__ import annotations

import math

from zoo.errors import ZooError
from zoo.interfaces import Flow


def positive(name: str, value: float) -> float:
    """Return value as a float.

    Raises:
        ZooError: it is not a positive, finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ZooError(f"{name} = {value!r}; expected a positive number")
    return float(value)


def scale_of(flow: Flow, given: float | None) -> float:
    """Return the standard deviation of the data: as given, the model's own, or EDM's 0.5."""
    return given or flow.sigma_data or 0.5


def count(name: str, value: int) -> int:
    """Return value.

    Raises:
        ZooError: it is not a whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ZooError(f"{name} = {value!r}; expected a whole number of at least 1")
    return value

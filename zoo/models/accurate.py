"""The solver for what has to be right rather than quick: encoding, decoding, likelihoods."""

from __future__ import annotations

import torch

from zoo.host.build import solver as build_solver
from zoo.interfaces import Solver

# Each step is right to this, relative and absolute.
TOLERANCE = 1e-7


def accurate_solver(dtype: torch.dtype, tolerance: float = TOLERANCE) -> Solver:
    """Return dopri5 at a tolerance, or at the rounding of the dtype of the field if that is more.

    Integrating images there and back has an error of about a hundred times the tolerance.
    """
    tolerance = max(tolerance, torch.finfo(dtype).eps)
    return build_solver("dopri5", rtol=tolerance, atol=tolerance)

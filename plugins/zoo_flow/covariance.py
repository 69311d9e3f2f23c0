"""Covariance matrices: diagonal for any dimension, full where a d x d matrix fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo import ZooError
from zoo.numerics import formula

CovarianceLike = str | float | Sequence[Any] | Tensor
"""Variances as a formula of the coordinate's number i, one number, d numbers, or a d x d matrix."""


class Covariance:
    """S = A A^T, with A diagonal or lower triangular.

    Attributes:
        dim: number of coordinates d.
        mean_variance: trace S / d.

    Raises:
        ZooError: the shape does not fit, or S is not symmetric and positive definite.
    """

    def __init__(self, given: CovarianceLike, dim: int) -> None:
        self.dim = dim
        matrix = _as_tensor(given, dim)
        if not bool(matrix.isfinite().all()):
            raise ZooError("covariance has entries that are not finite")
        if matrix.ndim == 1:
            if bool((matrix <= 0).any()):
                raise ZooError("covariance has variances that are not positive")
            self._factor = matrix.sqrt()
            self.mean_variance = float(matrix.mean())
            self._half_log_det = float(self._factor.log().sum())
            return
        if not torch.allclose(matrix, matrix.T, rtol=1e-9, atol=1e-12 * float(matrix.abs().max())):
            raise ZooError("covariance is not symmetric")
        self._factor, failed = torch.linalg.cholesky_ex(matrix)
        if int(failed):
            raise ZooError("covariance is not positive definite")
        self.mean_variance = float(matrix.diagonal().mean())
        self._half_log_det = float(self._factor.diagonal().log().sum())

    def colour(self, z: Tensor) -> Tensor:
        """Return A z for z ~ N(0, I), shape (B, d)."""
        factor = self._factor.to(z)
        return z * factor if factor.ndim == 1 else z @ factor.T

    def log_density(self, n: Tensor) -> Tensor:
        """Return log N(n; 0, S), shape (B,), for n of shape (B, d)."""
        factor = self._factor.to(n)
        if factor.ndim == 1:
            z = n / factor
        else:
            z = torch.linalg.solve_triangular(factor, n.T, upper=False).T
        norm = self.dim / 2 * math.log(2 * math.pi) + self._half_log_det
        return -norm - z.square().sum(dim=1) / 2


def _as_tensor(given: CovarianceLike, dim: int) -> Tensor:
    if isinstance(given, str):
        law = formula(given, ("i",), argument="covariance", constants={"d": dim})
        values: Tensor = law(torch.arange(dim, dtype=torch.float64))
        return values.expand(dim).double()
    try:
        matrix = torch.as_tensor(given, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise ZooError(
            "covariance is not numbers; expected a formula of i, d variances or a d x d matrix"
        ) from None
    if matrix.ndim == 0:
        return matrix.expand(dim)
    if matrix.shape not in ((dim,), (dim, dim)):
        raise ZooError(
            f"covariance has shape {tuple(matrix.shape)}; expected ({dim},) or ({dim}, {dim})"
        )
    return matrix

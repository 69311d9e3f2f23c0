"""Flow matching, also rectified flow: x_t = (1 - t) x_0 + t z, z ~ N(0, I), t from 0 to 1.

A conditional trajectory is the straight line from x_0 to z, and its velocity z - x_0 is the same
(x_t - x_0) / t as that of the self-similar kernels.
Noise of any covariance S keeps the straight line and so v, but G_1 depends on the direction of
x_t - x_0, not on its length alone: varphi(t; x_t, x_0) beyond the isotropic.
Source: arXiv:2210.02747, section 4.1; arXiv:2209.03003; kexue.fm/archives/9370, "summary".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import LEVEL_RANGE, GaussianPathKernel, PathCoefficients, over, randn
from zoo.numerics import broadcast, formula

CovarianceLike = str | float | Sequence[Any] | Tensor
"""Variances as a formula of the coordinate's number i, one number, d numbers, or a d x d matrix."""

# t / (1 - t) is EDM's sigma_min here.
FIRST_TIME = LEVEL_RANGE[0] / (1 + LEVEL_RANGE[0])


class FlowKernel(GaussianPathKernel):
    """p_t(x_t | x_0) = N((1 - t) x_0, t^2 I).

    Args:
        dim: number of coordinates d.
        t_min: first time; by default the one with t / (1 - t) = 0.002.
        t_max: time of the prior, at most 1; at 1 the prior is N(0, I) whatever the data.

    Raises:
        ZooError: a time that is none.
    """

    affine_path = True

    def __init__(self, *, dim: int, t_min: float = FIRST_TIME, t_max: float = 1.0) -> None:
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)
        if t_max > 1:
            raise ZooError(f"t_max = {t_max:g}; expected at most 1, where only noise is left")

    def coefficients(self, t: Tensor) -> PathCoefficients:
        """Return (1 - t, t, -1, 1)."""
        one = torch.ones_like(t)
        return PathCoefficients(1 - t, t, -one, one)

    def _velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        return (x_t - x_0) / over(t, x_t)

    def denoised(self, field: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t] = x_t - t f."""
        return x_t - over(t, x_t) * field

    def time_at(self, level: Tensor | float) -> Tensor:
        """Return t = level / (1 + level), clamped to [t_min, t_max], float64."""
        level = torch.as_tensor(level, dtype=torch.float64)
        return (1 / (1 + 1 / level)).clamp(self.t_min, self.t_max)


class Covariance:
    """S = A A^T, with A diagonal for any dimension, or lower triangular where d x d numbers fit.

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


class AnisotropicKernel(FlowKernel):
    """p_t(x_t | x_0) = N((1 - t) x_0, t^2 S): x_t = (1 - t) x_0 + t A z, z ~ N(0, I), S = A A^T.

    Args:
        dim: number of coordinates d.
        covariance: S, as a formula of the coordinate's number i = 0 ... d - 1 for its variances,
            such as "1 / (1 + i)"; as d variances; or as a d x d matrix.
        t_min: first time.
        t_max: time of the prior, at most 1; at 1 the prior is N(0, S) whatever the data.

    Raises:
        ZooError: the covariance does not fit d, or is not positive definite.
    """

    gaussian = False

    def __init__(
        self, *, dim: int, covariance: CovarianceLike, t_min: float = FIRST_TIME, t_max: float = 1.0
    ) -> None:
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)
        self.covariance = Covariance(covariance, dim)

    def _noise(self, z: Tensor, t: Tensor | float) -> Tensor:
        """Return the noise n of x_t = (1 - t) x_0 + t n from z ~ N(0, I), shape (B, d)."""
        del t
        return self.covariance.colour(z)

    def _noise_log_density(self, n: Tensor, t: Tensor | float) -> Tensor:
        """Return the log density of the noise n, shape (B,), for n of shape (B, d)."""
        del t
        return self.covariance.log_density(n)

    def _sample(self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None) -> Tensor:
        z = randn(x_0.shape, x_0, generator).flatten(1)
        time = over(t, x_0)
        return (1 - time) * x_0 + time * self._noise(z, t).reshape(x_0.shape)

    def _log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return log p(n) - d log t with n = (x_t - (1 - t) x_0) / t, shape (B,)."""
        x_t, x_0 = broadcast(x_t, x_0)
        x, source = x_t.flatten(1).double(), x_0.flatten(1).double()
        time = over(t, x)
        log = self._noise_log_density((x - (1 - time) * source) / time, t)
        return (log - self.dim * time.log().squeeze(1)).to(x_t.dtype)

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (1 - t, t sqrt(trace S / d)), float64."""
        alpha, sigma = super().marginal(t)
        return alpha, sigma * math.sqrt(self.covariance.mean_variance)

    def time_at(self, level: Tensor | float) -> Tensor:
        """Return t = level / (level + sqrt(trace S / d)), clamped to [t_min, t_max], float64."""
        level = torch.as_tensor(level, dtype=torch.float64)
        return super().time_at(level / math.sqrt(self.covariance.mean_variance))

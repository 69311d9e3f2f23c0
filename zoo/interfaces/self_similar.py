"""Self-similar kernels: isotropic ones whose radial CDF depends on r / t alone."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from zoo.interfaces.isotropic import LEAST_QUANTILE, IsotropicKernel
from zoo.interfaces.kernel import FieldKernel, moved, over
from zoo.interfaces.radial import directions, invert_cdf, log_shell, uniform_open
from zoo.numerics import jet


def floating(t: Tensor | float) -> Tensor:
    """Return t as a tensor of its shape: a floating one as it is, numbers in float64."""
    if isinstance(t, Tensor) and t.is_floating_point():
        return t
    return torch.as_tensor(t, dtype=torch.float64)


class SelfSimilarKernel(IsotropicKernel):
    """psi depends on r/t alone: x_t = x_0 + t z, v = (x_t - x_0) / t, f = (x - E[x_0|x]) / t.

    Write `unit_cdf`, the law of rho = |z|; `unit_icdf`, `unit_log_density` and `unit_log_phi`
    follow numerically, and may be overridden by closed forms.

    class Cubic(SelfSimilarKernel):
        def unit_cdf(self, rho):
            return torch.tanh(rho**3)
    """

    affine = True
    affine_path = True

    def __init__(self, *, dim: int, t_min: float | None = None, t_max: float | None = None) -> None:
        FieldKernel.__init__(self, dim=dim, t_min=1.0, t_max=2.0)  # unit_icdf needs a checked dim
        quantiles = torch.tensor([0.5, LEAST_QUANTILE], dtype=torch.float64)
        half, least = self.unit_icdf(quantiles).tolist()
        self._median_level: float = half / math.sqrt(dim)
        self._least_level: float = least / math.sqrt(dim)
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)

    @abstractmethod
    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return P(|z| <= rho), like rho; differentiable."""

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return the rho with unit_cdf(rho) = q, like q."""
        return invert_cdf(self.unit_cdf, q.double()).to(q)

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return the log density of |z| at rho, like rho."""
        return jet(self.unit_cdf, rho.double()).slope(0).log().to(rho)

    def unit_log_phi(self, rho: Tensor) -> Tensor:
        """Return the log density of the vector z where |z| = rho, like rho."""
        return self.unit_log_density(rho) - log_shell(rho, self.dim)

    def unit_sample(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw z, shaped like `like`: (B, *); a new tensor, for `sample` to write over."""
        u = directions(like, generator)
        q = uniform_open(len(like), generator, like.device)
        return u.mul_(over(self.unit_icdf(q), like))

    def _radial_cdf(self, r: Tensor, t: Tensor | float) -> Tensor:
        return self.unit_cdf(r / t)

    def _radial_icdf(self, q: Tensor, t: Tensor | float) -> Tensor:
        return t * self.unit_icdf(q)

    def _radius_log_density(self, r: Tensor, t: Tensor | float) -> Tensor:
        t = torch.as_tensor(t, dtype=r.dtype, device=r.device)
        return self.unit_log_density(r / t) - t.log()

    def _radial_velocity(self, r: Tensor, t: Tensor | float) -> Tensor:
        return r / t

    def _log_phi(self, r: Tensor, t: Tensor | float) -> Tensor:
        t = torch.as_tensor(t, dtype=r.dtype, device=r.device)
        return self.unit_log_phi(r / t) - self.dim * t.log()

    def _velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        return (x_t - x_0) / over(t, x_t)

    def _sample(self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None) -> Tensor:
        return moved(x_0, over(t, x_0), self.unit_sample(x_0, generator))

    def denoised(self, field: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t] = x_t - t f, shape of x_t (B, *)."""
        return x_t - over(t, x_t) * field

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (1, t * unit median / sqrt d), each of the shape of t."""
        t = floating(t)
        return torch.ones_like(t), t * self._median_level

    def _time_of_level(self, level: Tensor) -> Tensor:
        return level.double() / self._median_level

    def _time_of_median(self, r: Tensor) -> Tensor:
        return r / (self._median_level * math.sqrt(self.dim))

    def least_level(self, t: Tensor | float) -> Tensor:
        """Return the noise level that only one sample in ten thousand stays below, shape of t."""
        return floating(t) * self._least_level

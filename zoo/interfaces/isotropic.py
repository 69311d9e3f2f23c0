"""Isotropic kernels: everything follows from one radial CDF psi_t(r), r = |x_t - x_0|.

    phi_t(r) = d_r psi / (S_d r^(d-1)),   v = -(d_t psi / d_r psi) (x_t - x_0) / r

where S_d is the area of the unit sphere in R^d. v moves every point at constant psi, so a
conditional trajectory keeps its quantile q: r(t) = psi_t^{-1}(q).

Source: kexue.fm/archives/9370, section "reverse construction".
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from zoo.interfaces.kernel import FieldKernel, over, randn

# A sample's noise level lies below this quantile of its law once in ten thousand draws.
LEAST_QUANTILE = 1e-4


def radius(x_t: Tensor, x_0: Tensor) -> Tensor:
    """Return |x_t - x_0| per sample, shape (B,)."""
    return (x_t - x_0).flatten(1).norm(dim=1)


def log_sphere_area(dim: int) -> float:
    """Return log S_d = log(2 pi^(d/2) / Gamma(d/2)), the area of the unit sphere in R^d."""
    return math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)


def directions(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw unit vectors, uniform on the sphere, shaped like `like`: (B, *)."""
    u = randn(like.shape, like, generator)
    return u / over(u.flatten(1).norm(dim=1), u)


def uniform_open(n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Draw n uniforms strictly inside (0, 1), float64, on the generator's device then moved."""
    where = device if generator is None else generator.device
    u = torch.rand(n, generator=generator, device=where, dtype=torch.float64)
    return ((u * 2.0**53 + 0.5) / 2.0**53).clamp(max=1 - 2.0**-53).to(device)


class IsotropicKernel(FieldKernel):
    """A kernel given by its radial CDF; write `radial_cdf` and the rest follows numerically.

    Override any other method with its closed form where there is one.
    """

    affine = False
    random_level = True

    @abstractmethod
    def radial_cdf(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return psi_t(r) = P(|x_t - x_0| <= r), like r; differentiable in r and t."""

    def radial_icdf(self, q: Tensor, t: Tensor | float) -> Tensor:
        """Return the r with psi_t(r) = q, like q, for q in (0, 1); by bisection in log r."""
        q = q.double()
        t = torch.as_tensor(t, dtype=torch.float64, device=q.device).expand_as(q)
        low, high = torch.full_like(q, -300.0), torch.full_like(q, 300.0)
        for _ in range(80):
            middle = (low + high) / 2
            below = self.radial_cdf(middle.exp(), t) < q
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return ((low + high) / 2).exp()

    def _slopes(self, r: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (d_r psi, d_t psi) by autodiff, each like r."""
        with torch.enable_grad():
            r = r if r.requires_grad else r.detach().requires_grad_()
            t = torch.as_tensor(t, dtype=r.dtype, device=r.device).expand_as(r)
            t = t if t.requires_grad else t.detach().clone().requires_grad_()
            psi = self.radial_cdf(r, t).sum()
            d_r, d_t = torch.autograd.grad(psi, (r, t), create_graph=True)
        return (d_r, d_t) if torch.is_grad_enabled() else (d_r.detach(), d_t.detach())

    def radius_log_density(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return log d_r psi_t(r), the log density of the radius itself, like r."""
        return self._slopes(r, t)[0].log()

    def radial_velocity(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return dr/dt = -d_t psi / d_r psi at constant quantile, like r."""
        d_r, d_t = self._slopes(r, t)
        return -d_t / d_r

    def log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return log phi_t(r) = log d_r psi - log S_d - (d - 1) log r, shape (B,)."""
        r = radius(x_t, x_0)
        on_sphere = log_sphere_area(self.dim) + (self.dim - 1) * r.log()
        return self.radius_log_density(r, t) - on_sphere

    def velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return v = (dr/dt) (x_t - x_0) / r, shape (B, *)."""
        r = radius(x_t, x_0)
        return over(self.radial_velocity(r, t) / r, x_t) * (x_t - x_0)

    def sample(
        self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw x_t = x_0 + psi_t^{-1}(q) u, q uniform in (0, 1), u uniform on the sphere."""
        u = directions(x_0, generator)
        q = uniform_open(len(x_0), generator, x_0.device)
        return x_0 + over(self.radial_icdf(q, t), x_0) * u

    def _level_at(self, q: float, t: Tensor | float) -> Tensor:
        t = torch.as_tensor(t, dtype=torch.float64)
        return self.radial_icdf(torch.full_like(t, q), t) / math.sqrt(self.dim)

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (1, median radius / sqrt d), float64."""
        level = self._level_at(0.5, t)
        return torch.ones_like(level), level

    def least_level(self, t: Tensor | float) -> Tensor:
        """Return the noise level that only one sample in ten thousand stays below."""
        return self._level_at(LEAST_QUANTILE, t)


class SelfSimilarKernel(IsotropicKernel):
    """psi depends on r/t alone: x_t = x_0 + t z, v = (x_t - x_0) / t, f = (x - E[x_0|x]) / t.

    Write the law of rho = |z|: `unit_cdf`, `unit_icdf`, `unit_log_density`. By default t_min
    and t_max are the times whose median radius is that of the Gaussian kernel at EDM's
    sigma_min = 0.002 and sigma_max = 80 (arXiv:2206.00364, table 1).
    """

    affine = True

    def __init__(
        self, *, dim: int, t_min: float | None = None, t_max: float | None = None
    ) -> None:
        super().__init__(dim=dim, t_min=1.0, t_max=2.0)
        half, least = self.unit_icdf(
            torch.tensor([0.5, LEAST_QUANTILE], dtype=torch.float64)
        ).tolist()
        self._median_level = half / math.sqrt(dim)
        self._least_level = least / math.sqrt(dim)
        super().__init__(
            dim=dim,
            t_min=0.002 / self._median_level if t_min is None else t_min,
            t_max=80.0 / self._median_level if t_max is None else t_max,
        )

    @abstractmethod
    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return P(|z| <= rho), like rho."""

    @abstractmethod
    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return the rho with unit_cdf(rho) = q, like q."""

    @abstractmethod
    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return the log density of |z| at rho, like rho."""

    def radial_cdf(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return psi_t(r) = unit_cdf(r / t)."""
        return self.unit_cdf(r / t)

    def radial_icdf(self, q: Tensor, t: Tensor | float) -> Tensor:
        """Return r = t unit_icdf(q)."""
        return t * self.unit_icdf(q)

    def radius_log_density(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return log d_r psi = unit_log_density(r / t) - log t."""
        t = torch.as_tensor(t, dtype=r.dtype, device=r.device)
        return self.unit_log_density(r / t) - t.log()

    def radial_velocity(self, r: Tensor, t: Tensor | float) -> Tensor:
        """Return dr/dt = r / t."""
        return r / t

    def velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return v = (x_t - x_0) / t, shape (B, *)."""
        return (x_t - x_0) / over(t, x_t)

    def denoised(self, field: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t] = x_t - t f."""
        return x_t - over(t, x_t) * field

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (1, t * unit median / sqrt d)."""
        t = torch.as_tensor(t)
        t = t if t.is_floating_point() else t.double()
        return torch.ones_like(t), t * self._median_level

    def time_at(self, level: Tensor | float) -> Tensor:
        """Return t = level sqrt d / unit median, clamped to [t_min, t_max]."""
        t = torch.as_tensor(level, dtype=torch.float64) / self._median_level
        return t.clamp(self.t_min, self.t_max)

    def least_level(self, t: Tensor | float) -> Tensor:
        """Return the noise level that only one sample in ten thousand stays below."""
        return torch.as_tensor(t) * self._least_level

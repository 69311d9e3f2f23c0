"""Any conditional map: x_t = X_t(x_0, z), z ~ N(0, I), invertible in z, X_0(x_0, z) = x_0.

G_1 is the push-forward of N(0, I), and v = d_t X_t at fixed (x_0, z), by forward-mode autodiff:

    log G_1 = log N(z; 0, I) - log |det d_z X_t|,   z = X_t^{-1}(x_t; x_0)

    zoo.kernel("map", dim=784, map="(1-t)*x_0 + t*(z + a*sin(z))", a=0.3)

Source: kexue.fm/archives/9370, "summary", and kexue.fm/archives/9379 (characteristics).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import FieldKernel, over, randn
from zoo.numerics import broadcast, derivative, formula
from zoo_flow.inverse import elementwise_inverse, jacobian, newton_inverse

# Of (x_0, z, t), or of (x_0, x_t, t).
Map = Callable[[Tensor, Tensor, Tensor], Tensor]

# A full Jacobian per sample is formed up to this dimension.
MAX_JACOBIAN_DIM = 64
_START = 1e-9  # X is compared with x_0 at this fraction of t_min


class MapKernel(FieldKernel):
    """The kernel of a conditional map; its network predicts the field itself."""

    affine = False

    def __init__(self, *, dim: int, map: Map, t_min: float = 1e-3, t_max: float = 1.0) -> None:
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)
        self._map = map
        probe = self._probes().double()
        source = torch.linspace(-1, 1, len(probe), dtype=torch.float64)[:, None].expand_as(probe)
        early = torch.full((len(probe), 1), self.t_min * _START, dtype=torch.float64)
        moved = self.map(source, probe, early)
        if moved.shape != source.shape:
            raise ZooError(f"map gives shape {tuple(moved.shape)}; expected {tuple(source.shape)}")
        error = float((moved - source).abs().max())
        if not error < 1e-5:
            raise ZooError(f"map is {error:g} away from x_0 as t -> 0; expected X_0(x_0, z) = x_0")

    def map(self, x_0: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return X_t(x_0, z), shape (B, *); t is shaped (B, 1, ...) to broadcast."""
        return self._map(x_0, z, t)

    @abstractmethod
    def inverse(self, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the z with X_t(x_0, z) = x_t, shape (B, *), float64, differentiable."""

    @abstractmethod
    def log_det(self, x_0: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return log |det d_z X_t|, shape (B,)."""

    @abstractmethod
    def _probes(self) -> Tensor:
        """Return draws of z at which `marginal` looks, shape (N, d) or (N, 1)."""

    def _sample(self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None) -> Tensor:
        return self.map(x_0, randn(x_0.shape, x_0, generator), over(t, x_0)).to(x_0)

    def _preimage(
        self, x_t: Tensor, x_0: Tensor, t: Tensor | float
    ) -> tuple[Tensor, Tensor, Tensor]:
        x_t, x_0 = broadcast(x_t.double(), x_0.double())
        time = over(t, x_0).expand(len(x_0), *[1] * (x_0.ndim - 1))
        return x_0, self.inverse(x_0, x_t, time), time

    def _velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return v = d_t X_t(x_0, z) at the z that leads to x_t, shape (B, *)."""
        source, z, time = self._preimage(x_t, x_0, t)
        _, rate = derivative(lambda s: self.map(source, z, s), time, torch.ones_like(time))
        return rate.to(x_t.dtype)

    def _log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return log N(z; 0, I) - log |det d_z X_t|, shape (B,)."""
        source, z, time = self._preimage(x_t, x_0, t)
        normal = -self.dim / 2 * math.log(2 * math.pi) - z.flatten(1).square().sum(dim=1) / 2
        return (normal - self.log_det(source, z, time)).to(x_t.dtype)

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (E[X_t(1, z) - X_t(0, z)], std of X_t(0, z)) over z, float64.

        The linear map closest in spirit: exact for X_t = alpha x_0 + sigma z. Used to scale a
        network's input and output, not in the density or the velocity.
        """
        t = torch.as_tensor(t, dtype=torch.float64)
        z = self._probes()
        count, width = z.shape
        time = t.reshape(-1, 1).repeat_interleave(count, dim=0)
        many = z.repeat(t.numel(), 1)
        at_0 = self.map(torch.zeros_like(many), many, time).reshape(-1, count, width)
        at_1 = self.map(torch.ones_like(many), many, time).reshape(-1, count, width)
        alpha = (at_1 - at_0).mean(dim=(1, 2))
        sigma = at_0.var(dim=1, correction=0).mean(dim=1).sqrt()
        return alpha.reshape(t.shape), sigma.reshape(t.shape)


class ElementwiseMapKernel(MapKernel):
    """A map that acts on every coordinate alone: x_t = X_t(x_0, z) as a formula of numbers."""

    def map(self, x_0: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return the formula's value."""
        return super().map(x_0, z, t).expand_as(z)

    def inverse(self, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return z by bracketed root finding in every coordinate."""
        return elementwise_inverse(lambda z: self.map(x_0, z, t), x_t)

    def log_det(self, x_0: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return the sum of log |d_z X_t| over the coordinates, shape (B,)."""
        _, slope = derivative(lambda v: self.map(x_0, v, t), z, torch.ones_like(z))
        total: Tensor = slope.abs().log().flatten(1).sum(dim=1)
        return total

    def _probes(self) -> Tensor:
        # Normal quantiles in place of draws: every coordinate has the same law.
        middle = (torch.arange(256, dtype=torch.float64) + 0.5) / 256
        quantiles: Tensor = torch.special.ndtri(middle)
        return quantiles[:, None]


class GeneralMapKernel(MapKernel):
    """A map given as a callable, whose coordinates may mix."""

    def __init__(
        self,
        *,
        dim: int,
        map: Map,
        inverse: Map | None = None,
        log_det: Map | None = None,
        t_min: float = 1e-3,
        t_max: float = 1.0,
    ) -> None:
        missing = [n for n, given in (("inverse", inverse), ("log_det", log_det)) if given is None]
        if missing and isinstance(dim, int) and dim > MAX_JACOBIAN_DIM:
            raise ZooError(
                f"a map of {dim} coordinates needs {' and '.join(missing)}: without, it is solved "
                f"by full Jacobians, up to {MAX_JACOBIAN_DIM} coordinates"
            )
        self._inverse, self._log_det = inverse, log_det
        super().__init__(dim=dim, map=map, t_min=t_min, t_max=t_max)

    def inverse(self, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return z from the inverse given, else by Newton's method with the full Jacobian."""
        if self._inverse is not None:
            return self._inverse(x_0, x_t, t)
        return newton_inverse(lambda z: self.map(x_0, z, t), x_t)

    def log_det(self, x_0: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return the log determinant given, else that of the full Jacobian."""
        if self._log_det is not None:
            return self._log_det(x_0, z, t)
        log: Tensor = torch.linalg.slogdet(jacobian(lambda v: self.map(x_0, v, t), z)).logabsdet
        return log

    def _probes(self) -> Tensor:
        count = max(8, min(256, 8192 // self.dim))
        generator = torch.Generator().manual_seed(0)
        return torch.randn(count, self.dim, dtype=torch.float64, generator=generator)


def map_kernel(
    *,
    dim: int,
    map: str | Map,
    inverse: Map | None = None,
    log_det: Map | None = None,
    t_min: float = 1e-3,
    t_max: float = 1.0,
    **parameters: float,
) -> MapKernel:
    """Return the kernel of a conditional map.

    Args:
        dim: number of coordinates d.
        map: a formula of x_0, z, t and parameters, applied to every coordinate, monotone in z; or
            a callable (x_0, z, t) -> x_t on batches, shapes (B, *), t of shape (B, 1, ...).
        inverse: for a callable, (x_0, x_t, t) -> z; found by Newton's method without it.
        log_det: for a callable, (x_0, z, t) -> log |det d_z X_t|, shape (B,).
        t_min: first time.
        t_max: time of the prior; the prior is the law of X_T(0, z).
        parameters: numbers for the other names in the formula.

    Raises:
        ZooError: the map is not a formula or callable, does not start at x_0, or has too many
            coordinates to be inverted by Jacobians.
    """
    if not isinstance(map, str):
        if not callable(map):
            raise ZooError(f"map = {map!r}; expected a formula as text or a callable")
        if parameters:
            raise ZooError(f"unknown option {min(parameters)!r} of a map given as a callable")
        return GeneralMapKernel(
            dim=dim, map=map, inverse=inverse, log_det=log_det, t_min=t_min, t_max=t_max
        )
    if inverse is not None or log_det is not None:
        raise ZooError("inverse and log_det go with a callable map; a formula needs neither")
    law = formula(map, ("x_0", "z", "t"), argument="map", parameters=parameters)
    return ElementwiseMapKernel(dim=dim, map=law, t_min=t_min, t_max=t_max)

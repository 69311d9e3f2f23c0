"""The exact field of Gaussian data under an isotropic kernel, by quadrature over the radius.

With data N(0, s^2 I) in d dimensions, R = |x|, nu = d/2 - 1 and z = R r / s^2, the density of x at
distance r from its source is, up to factors that do not depend on r,

    exp(-(R^2 + r^2) / (2 s^2)) I_nu(z) z^-nu,   and   E[x_0 | x, r] = (1 - r A(z) / R) x

with A = I_{nu+1} / I_nu (the von Mises-Fisher mean). r follows the kernel, so

    E[x_0 | x_t = x] = (1 - E[r A | x] / R) x.

I_nu by its expansion for large nu, DLMF 10.41.3 and 10.41.5, in x = z / nu: right to 1e-10 from
nu = 100 on. The level of a sample is not given. It is inferred from the state, which determines it
less and less along the exact ODE once the noise falls below s (2/d)^(1/4).
"""

from __future__ import annotations

import math

import torch
from numpy.polynomial.legendre import leggauss
from scipy.integrate import solve_ivp
from torch import Tensor

from zoo.interfaces import SelfSimilarKernel, over

_POINTS, _WEIGHTS = (torch.from_numpy(v) / 2 for v in leggauss(10))
_POINTS += 0.5
# Panels end at these quantiles of the kernel's radius, and at these distances, in standard
# deviations of the data, from where the state alone would put it.
_QUANTILES = torch.cat(
    [10.0 ** torch.arange(-12, -1).double(), torch.linspace(0.02, 0.98, 49).double()]
)
_AROUND = torch.arange(-14, 14.25, 0.5).double()
# Coefficients of the expansions' terms k = 1, 2, 3: p^k, p^(k+2), ...
_U = ((3, -5), (81, -462, 385), (30375, -369603, 765765, -425425))
_V = ((-9, 7), (-135, 594, -455), (-42525, 451737, -883575, 475475))
_OVER = (24, 1152, 414720)


class GaussianPosterior:
    """The denoiser of N(0, std^2 I), d >= 202, and the ends of its exact trajectories.

    Args:
        kernel: a self-similar one.
        std: of the data, in data units.
    """

    def __init__(self, kernel: SelfSimilarKernel, std: float) -> None:
        if kernel.dim < 202:
            raise ValueError(f"dim = {kernel.dim}; the expansions take at least 202")
        self._kernel = kernel
        self._std = std
        self._nu = kernel.dim / 2 - 1
        upper = (1 - _QUANTILES).clamp(max=1 - 1e-15)
        quantiles = torch.cat([_QUANTILES, upper]).sort().values
        self._unit = kernel.radial_icdf(quantiles, 1.0)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Return E[x_0 | x_t = x] like x, t a scalar or (B,)."""
        size = x.double().flatten(1).norm(dim=1)
        return over(self.shrinkage(size, t), x) * x

    def shrinkage(self, size: Tensor, t: Tensor) -> Tensor:
        """Return E[x_0 | x] over x, by R = |x| (B,) and t."""
        size = size[:, None]
        t = torch.as_tensor(t, dtype=torch.float64).reshape(-1, 1)
        if not self._kernel.random_level:
            return (self._std**2 / (self._std**2 + t**2)).expand_as(size)[:, 0]
        r, weights = self._nodes(size, t)
        likelihood, mean = _bessel(size * r / (self._std**2 * self._nu), self._nu)
        log = self._kernel.radius_log_density(r, t.expand_as(r)) + likelihood
        log = log - (size - r).square() / (2 * self._std**2)
        mass = (log - log.amax(1, keepdim=True)).exp() * weights
        return 1 - (mass * r * mean).sum(1) / (mass.sum(1) * size[:, 0])

    def _nodes(self, size: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return radii and their weights (B, n): Gauss panels, dense where the law or x is."""
        rows = len(size)
        most = size + 14 * self._std
        own = (size.square() - self._kernel.dim * self._std**2).clamp(min=0).sqrt()
        law = (t * self._unit).expand(rows, -1)
        edges = torch.cat([law, own + self._std * _AROUND, most], 1)
        edges = torch.minimum(torch.maximum(edges, law[:, :1]), most).sort(1).values.log()
        low, high = edges[:, :-1, None], edges[:, 1:, None]
        logs = torch.lerp(low, high, _POINTS).flatten(1)
        return logs.exp(), ((high - low) * _WEIGHTS).flatten(1) * logs.exp()

    def ends(self, x: Tensor) -> Tensor:
        """Return where x at t_max is at t_min: the ODE of R in log t, DOP853 to 1e-10."""
        if not self._kernel.random_level:
            first, last = (
                math.hypot(self._std, t) for t in (self._kernel.t_max, self._kernel.t_min)
            )
            return x * (last / first)
        size = x.flatten(1).norm(dim=1)

        def slope(log_t: float, log_size: object) -> object:
            at = torch.as_tensor(log_size).exp()
            return (1 - self.shrinkage(at, torch.tensor(math.exp(log_t)))).numpy()

        span = math.log(self._kernel.t_max), math.log(self._kernel.t_min)
        solution = solve_ivp(slope, span, size.log().numpy(), "DOP853", rtol=1e-10, atol=1e-10)
        return over(torch.from_numpy(solution.y[:, -1]).exp() / size, x) * x


def _bessel(x: Tensor, nu: float) -> tuple[Tensor, Tensor]:
    """Return log of exp(-z) I_nu(z) z^-nu but for a constant, and I_{nu+1} / I_nu, z = nu x."""
    root = (1 + x * x).sqrt()
    p = 1 / root
    u, v = (
        1 + sum(_term(p, k, row) / (_OVER[k - 1] * nu**k) for k, row in enumerate(table, start=1))
        for table in (_U, _V)
    )
    log = nu * (1 / (root + x) - (1 + root).log()) - root.log() / 2 + u.log()
    return log, (root * v / u - 1) / x


def _term(p: Tensor, k: int, row: tuple[int, ...]) -> Tensor:
    return sum((c * p ** (k + 2 * i) for i, c in enumerate(row)), torch.zeros_like(p))

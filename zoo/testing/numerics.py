"""Statistics, integrals and a solver, for the checks."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from scipy.stats import ks_2samp, kstest
from torch import Tensor

from zoo.errors import CheckFailure
from zoo.interfaces import FieldKernel, Flow, GridSolver, IsotropicKernel
from zoo.interfaces.radial import directions, log_shell

# Kolmogorov's D sqrt(n) exceeds this with probability 2e-5, a normal variable with 6e-7.
KS_BOUND = 2.4
SIGMAS = 5.0
MASS_WITHIN = 1e-6
_ANGLES = 128
# An integral counts where the log of its integrand is at most this far below the maximum.
_BELOW_TOP = 45.0
_PASSES = 3
# Half widths in log r: 90 along one ray, less in a plane, where r^2 must not overflow.
_SPAN = 90.0
_PLANE_SPAN = 35.0
# Noise level above which data of size 1 have no influence.
_FORGOTTEN = 1e3


def generator(seed: int = 0) -> torch.Generator:
    """Return a new generator with this seed."""
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Draw N(0, 1) in float64."""
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def times(kernel: FieldKernel, count: int = 4) -> Tensor:
    """Return times from t_min to t_max, equally spaced in log t, (count,), float64."""
    ends = math.log(kernel.t_min), math.log(kernel.t_max)
    t = torch.linspace(*ends, count, dtype=torch.float64).exp()
    return t.clamp(kernel.t_min, kernel.t_max)


def require_uniform(u: Tensor, what: str) -> None:
    """Raise CheckFailure unless u (n,) is uniform on (0, 1) by the Kolmogorov-Smirnov test."""
    if not bool(u.isfinite().all()):
        raise CheckFailure(f"{what}: {int((~u.isfinite()).sum())} of {len(u)} are not finite")
    found = kstest(u.double().numpy(), "uniform", mode="asymp")
    allowed = KS_BOUND / math.sqrt(len(u))
    if found.statistic > allowed:
        raise CheckFailure(
            f"{what}: Kolmogorov-Smirnov distance {found.statistic:.3g} at quantile "
            f"{found.statistic_location:.3g}; {len(u)} draws allow {allowed:.2g}"
        )


def require_same_distribution(a: Tensor, b: Tensor, what: str) -> None:
    """Raise CheckFailure unless a (n,) and b (m,) pass the two-sample Kolmogorov-Smirnov test."""
    if not bool(a.isfinite().all() & b.isfinite().all()):
        raise CheckFailure(f"{what}: not all finite")
    gap = float(ks_2samp(a.numpy(), b.numpy(), method="asymp").statistic)
    allowed = KS_BOUND * math.sqrt(1 / len(a) + 1 / len(b))
    if gap > allowed:
        raise CheckFailure(
            f"{what}: Kolmogorov-Smirnov distance {gap:.3g}; {len(a)} and {len(b)} draws allow "
            f"{allowed:.2g}"
        )


def require_zero_mean(values: Tensor, what: str) -> None:
    """Raise CheckFailure if the mean of independent values (n,) is not 0 within 5 sigma."""
    mean = float(values.mean())
    error = float(values.std()) / math.sqrt(len(values))
    if not abs(mean) <= SIGMAS * error + 1e-12:
        raise CheckFailure(
            f"{what}: mean {mean:.3g} instead of 0, {abs(mean) / max(error, 1e-300):.1f} standard "
            "errors away"
        )


def require_distribution(
    kernel: FieldKernel, x: Tensor, t: float, what: str, seed: int = 7
) -> None:
    """Raise CheckFailure unless x (n, d) follows the kernel's distribution around 0 at t.

    The radius of isotropic kernels is compared with psi, others with fresh samples: |x| and x
    along an axis.
    """
    r = x.norm(dim=1)
    if isinstance(kernel, IsotropicKernel):
        require_uniform(kernel.radial_cdf(r, t), f"{what}: psi(|x|)")
        return
    fresh = kernel.sample(torch.zeros_like(x), t, generator(seed))
    require_same_distribution(r, fresh.norm(dim=1), f"{what}: |x| and that of fresh samples")
    axis = normal(kernel.dim, seed=8)
    along = f"{what}: x along an axis and that of fresh samples"
    require_same_distribution(x @ axis, fresh @ axis, along)


def require_determined(draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """Return a draw; raise CheckFailure unless its generator, and nothing else, determines it."""
    before = torch.get_rng_state()
    first, again, other = (draw(generator(seed)) for seed in (3, 3, 4))
    if not torch.equal(torch.get_rng_state(), before):
        raise CheckFailure("sample draws from torch's global state although given a generator")
    if not torch.equal(first, again):
        raise CheckFailure("sample gives two results for one generator state")
    if torch.equal(first, other):
        raise CheckFailure("sample gives one result for two generator states")
    return first


def require_mass_one(
    kernel: FieldKernel, log_density: Callable[[Tensor], Tensor], draws: Tensor, what: str
) -> None:
    """Raise CheckFailure unless a density integrates to 1.

    Along a ray from 0 for isotropic kernels, over the plane for others; one that is neither
    isotropic nor two-dimensional is not integrated.

    Args:
        kernel: whose law it is.
        log_density: of points (n, d).
        draws: some samples, (n, d), which say where the mass is.
        what: names the density in the error.
    """
    if isinstance(kernel, IsotropicKernel):
        (u,) = directions(normal(1, kernel.dim), generator(3))

        def shell(log_r: Tensor) -> Tensor:
            r = log_r.exp()
            return log_density(r[:, None] * u) + log_shell(r, kernel.dim) + log_r

        log_mass = log_integral(shell, math.log(float(draws.norm(dim=1).median())))
    elif kernel.dim == 2:
        centre = draws.median(dim=0).values
        scale = float((draws - centre).norm(dim=1).median())
        log_mass = _log_mass_of_plane(log_density, centre, scale)
    else:
        return
    found = math.exp(min(log_mass, 700.0))
    if not abs(found - 1) < MASS_WITHIN:
        raise CheckFailure(f"{what} has mass {found:.9g}; expected 1 within {MASS_WITHIN:g}")


def log_integral(
    log_integrand: Callable[[Tensor], Tensor],
    around: float,
    span: float = _SPAN,
    points: int = 1001,
) -> float:
    """Return log of the integral of exp(log_integrand(u)) du over u in around +- span.

    By the trapezoidal rule, which converges exponentially for a smooth integrand that vanishes at
    both ends. The first pass covers the whole interval, the next ones only its support.
    """
    low, high = around - span, around + span
    for _ in range(_PASSES):
        u = torch.linspace(low, high, points, dtype=torch.float64)
        step = float(u[1] - u[0])
        values = log_integrand(u).nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
        support = (values > values.max() - _BELOW_TOP).nonzero()
        if not len(support):
            return -math.inf
        low = float(u[support[0]]) - step
        high = float(u[support[-1]]) + step
    return float(values.logsumexp(0)) + math.log(step)


def _log_mass_of_plane(
    log_density: Callable[[Tensor], Tensor], centre: Tensor, scale: float
) -> float:
    """Return log of the integral of a density over R^2, in polar coordinates around `centre`."""
    angle = torch.arange(_ANGLES, dtype=torch.float64) * (2 * math.pi / _ANGLES)
    direction = torch.stack([angle.cos(), angle.sin()], dim=1)

    def ring(u: Tensor) -> Tensor:
        """Return log of the mean over angles, times 2 pi r^2, at r = e^u."""
        points = centre + u.exp()[:, None, None] * direction
        logs = log_density(points.reshape(-1, 2)).reshape(len(u), _ANGLES)
        return logs.logsumexp(dim=1) + math.log(2 * math.pi / _ANGLES) + 2 * u

    return log_integral(ring, math.log(scale), span=_PLANE_SPAN, points=301)


def rk4(
    slope: Callable[[Tensor, float], Tensor], x: Tensor, t_from: float, t_to: float, steps: int
) -> Tensor:
    """Return the solution of dx/dt = slope(x, t) at t_to, by Runge-Kutta of order 4 in log t."""
    ends = math.log(t_from), math.log(t_to)
    h = (ends[1] - ends[0]) / steps
    low, high = min(t_from, t_to), max(t_from, t_to)

    def rate(y: Tensor, u: float) -> Tensor:
        t = min(max(math.exp(u), low), high)
        return slope(y, t) * t

    for i in range(steps):
        u = ends[0] + i * h
        a = rate(x, u)
        b = rate(x + h / 2 * a, u + h / 2)
        c = rate(x + h / 2 * b, u + h / 2)
        d = rate(x + h * c, u + h)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
    return x


class RungeKutta(GridSolver):
    """A Runge-Kutta solver for the checks, so that kernels are tested without a plugin of solvers.

    Steps are equal in the log of the noise level, which is clamped: for flow matching the level is
    infinite at t_max.
    """

    order, stages = 4, 4

    def step(self, flow: Flow, x: Tensor, t: float, t_next: float) -> Tensor:
        """Return the state at t_next, shape (B, *)."""
        return rk4(flow.field, x, t, t_next, 1)

    def times(self, kernel: FieldKernel, t_from: float, t_to: float, steps: int) -> Tensor:
        """Return the times, float64, shape (steps + 1,)."""
        ends = torch.tensor([t_from, t_to], dtype=torch.float64)
        first, last = kernel.level(ends).clamp(max=_FORGOTTEN).log().tolist()
        inner = torch.linspace(first, last, steps + 1, dtype=torch.float64)[1:-1]
        return torch.cat([ends[:1], kernel.time_at(inner.exp()), ends[1:]])


def spread_around(x: Tensor, x_0: Tensor) -> Tensor:
    """Return |x - x_0| / sqrt(d) per sample, (B,)."""
    return (x - x_0).flatten(1).square().mean(dim=1).sqrt()


def log_density_at(kernel: FieldKernel, x_0: Tensor, t: float) -> Callable[[Tensor], Tensor]:
    """Return log G_1 around x_0 (1, d) at t as a function of x (n, d)."""
    return lambda x: kernel.log_density(x, x_0.expand_as(x), t)

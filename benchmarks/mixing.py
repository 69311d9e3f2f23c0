"""Is T large enough? The total variation between the laws that two data points have at t = T.

The prior does not know the data. It is as good as p_T(. | 0) and p_T(. | x_0) are alike, for x_0
as far out as the data reach; their total variation is the fraction of samples that would have to be
moved. EDM's sigma = 80 on CIFAR-10, whose images have a median norm of 27.7, stands at 0.138.

    >>> mixing(zoo.kernel("gravity", dim=3072), radius=27.7, t=40.0)
    Mixing(total_variation=0.2122..., standard_error=0.0, t=40.0, radius=27.7)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, IsotropicKernel
from zoo.interfaces.checks import check_integer
from zoo.interfaces.radial import directions
from zoo.numerics import betainc, solve_increasing

# What EDM's own prior stands at on CIFAR-10, rounded up.
ENOUGH = 0.15
_CHUNK = 256
_NODES, _REACH = 160, 3.0
_PROBES, _EXTREME = 513, 1e-6


@dataclass(frozen=True)
class Mixing:
    """How far apart two data points still are at time t.

    Attributes:
        total_variation: between p_t(. | 0) and p_t(. | x_0), |x_0| = radius, in [0, 1].
        standard_error: of its estimate by draws; 0 where it was integrated.
    """

    total_variation: float
    standard_error: float
    t: float
    radius: float

    def enough(self, tolerance: float = ENOUGH) -> bool:
        """Return whether the total variation is at most `tolerance`."""
        return self.total_variation <= tolerance

    def __str__(self) -> str:
        """Say it in one line."""
        error = f" +- {self.standard_error:.1g}" if self.standard_error else ""
        verdict = "large enough" if self.enough() else f"too small (aim at {ENOUGH})"
        return (
            f"t = {self.t:g} is {verdict} for data of norm {self.radius:g}: "
            f"total variation {self.total_variation:.3f}{error}"
        )


def mixing(
    kernel: FieldKernel,
    radius: float,
    *,
    t: float | None = None,
    draws: int = 2048,
    generator: torch.Generator | None = None,
) -> Mixing:
    """Return the total variation between p_t(. | 0) and p_t(. | x_0), |x_0| = radius.

    Where the density falls with the distance, as for gravity, Gaussian, tanh and exp, the two
    densities are equal on the plane half way, so the total variation is P(|n_1| < radius / 2) for
    one coordinate n_1 of the noise: one integral over the quantile. Any other kernel takes the
    mean of max(0, 1 - p_t(x | x_0) / p_t(x | 0)) over draws of x from the latter.

    Args:
        kernel: the field kernel.
        radius: |x_0|, the norm of a typical or a far data point after centring.
        t: the time; kernel.t_max by default.
        draws: number of draws, where draws are needed.
        generator: for the draws; a fixed seed by default.

    Raises:
        ZooError: radius is not a positive number, draws not a whole one of at least 2, or t not a
            time of the kernel.
    """
    if (
        isinstance(radius, bool)
        or not isinstance(radius, (int, float))
        or not (0 < radius < math.inf)
    ):
        raise ZooError(f"radius = {radius!r}; expected a positive number, the norm of a data point")
    draws = check_integer("draws", draws, 2)
    t = kernel.t_max if t is None else float(t)
    kernel.check_time(t)
    if isinstance(kernel, IsotropicKernel) and _falls(kernel, t):
        return Mixing(_integrated(kernel, radius, t), 0.0, t, radius)
    terms = _drawn(kernel, radius, t, draws, generator or torch.Generator().manual_seed(0))
    error = float(terms.std()) / math.sqrt(draws)
    return Mixing(float(terms.mean()), error, t, radius)


def mixing_time(kernel: IsotropicKernel, radius: float, tolerance: float = ENOUGH) -> float:
    """Return the t at which the total variation comes down to `tolerance`.

    The answer may lie beyond kernel.t_max: it is the t_max to ask for.

    Raises:
        ZooError: tolerance is not between 0 and 1, or the kernel is not isotropic with a density
            that falls with the distance.
    """
    if not 0 < tolerance < 1:
        raise ZooError(f"tolerance = {tolerance!r}; expected a number between 0 and 1")
    if not (isinstance(kernel, IsotropicKernel) and _falls(kernel, kernel.t_max)):
        raise ZooError(
            f"{type(kernel).__name__} has no density that falls with the distance alone; "
            "compare mixing(kernel, radius, t=...) at several times"
        )
    start, one = torch.tensor(math.log(kernel.t_max), dtype=torch.float64), torch.ones(())

    def fall(log_t: Tensor) -> Tensor:
        variation = _integrated(kernel, radius, float(log_t.exp()))
        return torch.tensor(tolerance - variation, dtype=torch.float64)

    log_t = solve_increasing(
        fall, start - 20, start + 20, at_low=-one.double(), at_high=one.double(), tolerance=1e-9
    )
    return float(log_t.exp())


def _falls(kernel: IsotropicKernel, t: float) -> bool:
    """Return whether phi_t(r) decreases in r, over all but a millionth of either end."""
    ends = torch.tensor([_EXTREME, 1 - _EXTREME], dtype=torch.float64)
    low, high = kernel.radial_icdf(ends, t).log().tolist()
    r = torch.linspace(low, high, _PROBES, dtype=torch.float64).exp()
    return bool((kernel.log_phi(r, t).diff() < 0).all())


def _integrated(kernel: IsotropicKernel, radius: float, t: float) -> float:
    """Return P(|n_1| < radius / 2): n_1 = r u_1, u_1^2 ~ Beta(1/2, (d-1)/2)."""
    half = torch.tensor(radius / 2, dtype=torch.float64)
    inside = float(kernel.radial_cdf(half, t))
    if kernel.dim == 1:
        return inside
    # tanh-sinh over the quantiles beyond radius / 2, where the integrand may have endpoint kinks.
    s = torch.linspace(-_REACH, _REACH, _NODES, dtype=torch.float64)
    angle = math.pi / 2 * s.sinh()
    weight = s.cosh() / angle.cosh().square()
    weight = weight / weight.sum()
    q = inside + (1 - inside) * torch.sigmoid(2 * angle)
    r = kernel.radial_icdf(q.clamp(max=1 - 2.0**-53), t)
    outside = betainc(0.5, (kernel.dim - 1) / 2, (half / r).square().clamp(max=1.0))
    return inside + (1 - inside) * float((weight * outside).sum())


def _drawn(
    kernel: FieldKernel, radius: float, t: float, draws: int, generator: torch.Generator
) -> Tensor:
    """Return max(0, 1 - p_t(x | x_0) / p_t(x | 0)) for draws of x, x_0 in random directions."""
    terms = []
    for start in range(0, draws, _CHUNK):
        zero = torch.zeros(min(_CHUNK, draws - start), kernel.dim, dtype=torch.float64)
        x_0 = radius * directions(zero, generator)
        x = kernel.sample(zero, t, generator)
        gap = kernel.log_density(x, x_0, t) - kernel.log_density(x, zero, t)
        terms.append(-torch.expm1(gap.clamp(max=0.0)))
    return torch.cat(terms)

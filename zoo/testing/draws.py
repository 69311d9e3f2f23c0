"""Whether samples follow the distribution of the kernel."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.errors import CheckFailure, ZooError
from zoo.interfaces import FieldKernel, IsotropicKernel, KernelPrior
from zoo.models.exact import exact
from zoo.models.exact.pairs import elements_per_source
from zoo.testing.numerics import (
    SIGMAS,
    RungeKutta,
    generator,
    log_density_at,
    normal,
    require_distribution,
    require_uniform,
    require_zero_mean,
    rk4,
    times,
)

# Random numbers per check, so that high dimension gets fewer draws; and bounds on the draws.
_NUMBERS = 2_000_000
_MAX_DRAWS = 8_000
_MIN_DRAWS = 400
_FEW_DRAWS = 48
# The same for `transport`, from one of these noise levels to the other in so many steps.
_TRANSPORT_NUMBERS = 150_000
_TRANSPORT_MAX_DRAWS = 2_000
_TRANSPORT_LEVELS = (0.1, 2.0)
_TRANSPORT_STEPS = 8
# The same for `shares`, with the weights of the points and the steps from t_max to t_min.
_SHARES_NUMBERS = 1_000
_SHARES_MIN_DRAWS = 120
_WEIGHTS = (1, 2, 3)
_SHARES_STEPS = 32


def draws(dim: int) -> int:
    """Return the number of draws for a check in this dimension."""
    return max(_MIN_DRAWS, min(_MAX_DRAWS, _NUMBERS // dim))


def sampling(kernel: FieldKernel) -> None:
    """Isotropic: the radius follows psi, the direction is uniform. Others: samples follow G_1."""
    zeros = torch.zeros(draws(kernel.dim), kernel.dim, dtype=torch.float64)
    x_0 = normal(1, kernel.dim, seed=5) / 2
    for i, t in enumerate(times(kernel, 2).tolist()):
        where = f"at t = {t:.4g}"
        if not isinstance(kernel, IsotropicKernel):
            x = kernel.sample(zeros + x_0, t, generator(i))
            obeys_density(x, log_density_at(kernel, x_0, t), where)
            continue
        # Around the origin: x_0 + a small radius would lose digits of the radius.
        x = kernel.sample(zeros, t, generator(i))
        r = x.norm(dim=1)
        require_uniform(kernel.radial_cdf(r, t), f"psi(|x_t - x_0|) {where}")
        u = x[:, 0] / r * math.sqrt(kernel.dim)
        require_zero_mean(u, f"the direction of x_t - x_0 {where}")
        require_zero_mean(u.square() - 1, f"d (u_1^2 - 1/d), u = (x_t - x_0) / r, {where}")
        few = zeros[:_FEW_DRAWS]
        moved = kernel.sample(few + x_0, t, generator(i)) - kernel.sample(few, t, generator(i))
        if not float((moved - x_0).abs().max()) <= 1e-6 * float(r.max() + x_0.norm()):
            raise CheckFailure(f"samples {where} do not move with x_0")


def obeys_density(x: Tensor, log_density: Callable[[Tensor], Tensor], where: str) -> None:
    """Raise CheckFailure unless x (n, d) follows a density, by Stein's identity.

    E[g . grad log p + div g] = 0 for any bounded smooth g. Here g is y / (1 + |y|^2/d), its first
    coordinate, its last coordinate, or (1, 1, ...) / (1 + |y|^2/d), with y = (x - centre) / scale.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        (score,) = torch.autograd.grad(log_density(x).sum(), x)
    x = x.detach()
    # Centre and scale come from the other half, so that g is independent of its arguments.
    halves = [(x[::2], score[::2], x[1::2]), (x[1::2], score[1::2], x[::2])]
    sums = torch.cat([_stein(*half) for half in halves])
    for values, what in zip(sums.unbind(1), ("radius", "x[0]", "x[-1]", "mean"), strict=True):
        require_zero_mean(values, f"Stein's identity in the {what}, {where}")


def _stein(x: Tensor, score: Tensor, others: Tensor) -> Tensor:
    """Return g . grad log p + div g for each g, (n, 4)."""
    dim = x.shape[1]
    centre = others.median(dim=0).values
    scale = (others - centre).square().mean(dim=1).median().sqrt()
    y = (x - centre) / scale
    score = score * scale
    square = y.square().mean(dim=1)
    damped = 1 + square
    whole = (y * score).sum(dim=1) / damped + dim / damped - 2 * square / damped.square()
    ends = [
        y[:, i] * score[:, i] / damped + 1 / damped - 2 * y[:, i].square() / dim / damped.square()
        for i in (0, -1)
    ]
    shift = score.sum(dim=1) / damped - 2 / dim * y.sum(dim=1) / damped.square()
    return torch.stack([whole, *ends, shift], dim=1)


def transport(kernel: FieldKernel) -> None:
    """Samples of one time, moved along v to another time, follow its distribution."""
    n = max(_FEW_DRAWS, min(_TRANSPORT_MAX_DRAWS, _TRANSPORT_NUMBERS // kernel.dim))
    first, last = (float(kernel.time_at(level)) for level in _TRANSPORT_LEVELS)
    x_0 = torch.zeros(n, kernel.dim, dtype=torch.float64)
    x = kernel.sample(x_0, first, generator(6))
    moved = rk4(lambda y, t: kernel.velocity(y, x_0, t), x, first, last, _TRANSPORT_STEPS)
    what = f"samples moved by v from t = {first:.4g} to {last:.4g}"
    require_distribution(kernel, moved, last, what)


def shares(kernel: FieldKernel) -> None:
    """The exact field of three weighted points maps the prior onto them, in these proportions.

    In high dimension it runs only for kernels of the distance; others would take minutes.
    """
    if kernel.dim > 2 and elements_per_source(kernel) > 1:
        return
    n = max(_SHARES_NUMBERS // kernel.dim, _SHARES_MIN_DRAWS)
    level = float(kernel.level(kernel.t_max))
    corners = normal(3, kernel.dim, seed=9)
    # Much smaller than the noise at t_max, so that the prior does not depend on the points.
    size = min(1.0, level / 50)
    corners = corners / corners.norm(dim=1, keepdim=True) * size * math.sqrt(kernel.dim / 2)
    data = torch.repeat_interleave(corners, torch.tensor(_WEIGHTS), dim=0)
    model = exact(kernel, data, prior=KernelPrior(kernel), solver=RungeKutta())
    x = model.prior.sample(n, model.shape, generator(10))
    ends = kernel.t_max, kernel.t_min
    try:
        with torch.no_grad():
            end = model.solver.integrate(model.flow(), x, *ends, steps=_SHARES_STEPS)
    except ZooError as error:
        raise CheckFailure(f"the exact field of three points: {error}") from error
    distance, nearest = torch.cdist(end, corners).min(dim=1)
    apart = float(torch.pdist(corners).min())
    landed = float((distance < 0.2 * apart).double().mean())
    if landed < 0.98:
        raise CheckFailure(
            f"the exact field of three points maps {landed:.1%} of the prior close to a point "
            "(a fifth of their distance); expected at least 98 %"
        )
    counts = torch.bincount(nearest, minlength=3).double() / n
    expected = torch.tensor(_WEIGHTS, dtype=torch.float64) / sum(_WEIGHTS)
    allowed = SIGMAS * (expected * (1 - expected) / n).sqrt()
    if bool(((counts - expected).abs() > allowed).any()):
        found = ", ".join(f"{c:.3f}" for c in counts.tolist())
        raise CheckFailure(
            f"the exact field of points with shares 1/6, 1/3, 1/2 ends in shares {found}; {n} "
            f"draws allow {float(allowed.max()):.2g}"
        )

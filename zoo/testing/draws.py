"""Whether samples follow the law that they are said to follow."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, IsotropicKernel, KernelPrior
from zoo.models.exact import exact
from zoo.models.exact.pairs import elements_per_source
from zoo.testing.failure import CheckFailure
from zoo.testing.numerics import (
    SIGMAS,
    RungeKutta,
    generator,
    normal,
    require_same_law,
    require_uniform,
    require_zero_mean,
    rk4,
    times,
)

# Numbers per test, so that high dimension gets fewer draws, and bounds on the draws.
_NUMBERS, _MOST, _LEAST = 2_000_000, 8_000, 400
_MOVED_NUMBERS, _MOVED = 150_000, 2_000
_SHARED_NUMBERS, _FEWEST, _FEW = 1_000, 120, 48
# A law is moved from one of these noise levels to the other, in so many steps.
_LEVELS, _MOVES = (0.1, 2.0), 8
# The points' shares, and steps from t_max to t_min, about 13 nats of noise level.
_SHARES, _STEPS = (1, 2, 3), 32


def draws(dim: int) -> int:
    """Return how many draws a test takes in this dimension."""
    return max(_LEAST, min(_MOST, _NUMBERS // dim))


def sampling(kernel: FieldKernel) -> None:
    """Samples have the radius that psi says and no preferred direction; or the density's law."""
    zeros = torch.zeros(draws(kernel.dim), kernel.dim, dtype=torch.float64)
    x_0 = normal(1, kernel.dim, seed=5) / 2
    for i, t in enumerate(times(kernel, 2).tolist()):
        where = f"at t = {t:.4g}"
        if not isinstance(kernel, IsotropicKernel):
            x = kernel.sample(zeros + x_0, t, generator(i))
            obeys_density(x, partial(_log_density, kernel, x_0, t), where)
            continue
        # Around the origin, so that a small radius is not lost beside x_0.
        x = kernel.sample(zeros, t, generator(i))
        r = x.norm(dim=1)
        require_uniform(kernel.radial_cdf(r, t), f"psi(|x_t - x_0|) {where}")
        share = x[:, 0] / r * math.sqrt(kernel.dim)
        require_zero_mean(share, f"the direction of x_t - x_0 {where}")
        require_zero_mean(share.square() - 1, f"d (u_1^2 - 1/d), u = (x_t - x_0) / r, {where}")
        few = zeros[:_FEW]
        moved = kernel.sample(few + x_0, t, generator(i)) - kernel.sample(few, t, generator(i))
        if not float((moved - x_0).abs().max()) <= 1e-6 * float(r.max() + x_0.norm()):
            raise CheckFailure(f"samples {where} do not move with x_0")


def _log_density(kernel: FieldKernel, x_0: Tensor, t: float, x: Tensor) -> Tensor:
    return kernel.log_density(x, x_0.expand_as(x), t)


def obeys_density(x: Tensor, log_density: Callable[[Tensor], Tensor], where: str) -> None:
    """Raise CheckFailure unless x (n, d) follows a density, by Stein's identity.

    E[g . grad log p + div g] = 0 for any bounded smooth g: here y / (1 + |y|^2/d) as a whole, its
    first and its last coordinate, and (1, 1, ...) / (1 + |y|^2/d), with y = (x - centre) / scale.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        (score,) = torch.autograd.grad(log_density(x).sum(), x)
    x = x.detach()
    # Centre and scale come from the other half: g must not depend on the points it is applied to.
    halves = [(x[::2], score[::2], x[1::2]), (x[1::2], score[1::2], x[::2])]
    sums = torch.cat([_stein(*half) for half in halves])
    for values, what in zip(sums.unbind(1), ("radius", "x[0]", "x[-1]", "mean"), strict=True):
        require_zero_mean(values, f"Stein's identity in the {what}, {where}")


def _stein(x: Tensor, score: Tensor, others: Tensor) -> Tensor:
    """Return g . grad log p + div g for each g, (n, 4)."""
    dim = x.shape[1]
    centre = others.median(dim=0).values
    scale = (others - centre).square().mean(dim=1).median().sqrt()
    y, score = (x - centre) / scale, score * scale
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
    """Moved by v from one time to another, samples have the law of the other time."""
    n = max(_FEW, min(_MOVED, _MOVED_NUMBERS // kernel.dim))
    first, last = (float(kernel.time_at(level)) for level in _LEVELS)
    x_0 = torch.zeros(n, kernel.dim, dtype=torch.float64)
    x = kernel.sample(x_0, first, generator(6))
    moved = rk4(lambda y, t: kernel.velocity(y, x_0, t), x, first, last, _MOVES)
    what = f"samples moved by v from t = {first:.4g} to {last:.4g}: "
    r = moved.norm(dim=1)
    if isinstance(kernel, IsotropicKernel):
        require_uniform(kernel.radial_cdf(r, last), what + "psi(|x_t - x_0|)")
        return
    fresh = kernel.sample(x_0, last, generator(7))
    require_same_law(r, fresh.norm(dim=1), what + "|x_t - x_0| beside fresh samples'")
    axis = normal(kernel.dim, seed=8)
    require_same_law(moved @ axis, fresh @ axis, what + "x along an axis beside fresh samples'")


def shares(kernel: FieldKernel) -> None:
    """The exact field of three points carries the prior onto them in the right shares.

    In high dimension only where pairs go by their distance; others would take minutes.
    """
    if kernel.dim > 2 and elements_per_source(kernel) > 1:
        return
    n = max(_SHARED_NUMBERS // kernel.dim, _FEWEST)
    level = float(kernel.level(kernel.t_max))
    corners = normal(3, kernel.dim, seed=9)
    # Small beside the noise at t_max, so that the prior may forget where they are.
    size = min(1.0, level / 50)
    corners = corners / corners.norm(dim=1, keepdim=True) * size * math.sqrt(kernel.dim / 2)
    data = torch.repeat_interleave(corners, torch.tensor(_SHARES), dim=0)
    model = exact(kernel, data, prior=KernelPrior(kernel), solver=RungeKutta())
    x = model.prior.sample(n, model.shape, generator(10))
    with torch.no_grad():
        end = model.solver.integrate(model.flow(), x, kernel.t_max, kernel.t_min, steps=_STEPS)
    if not bool(end.isfinite().all()):
        raise CheckFailure("the exact field of three points leads to states that are not finite")
    distance, nearest = torch.cdist(end, corners).min(dim=1)
    apart = float(torch.pdist(corners).min())
    landed = float((distance < 0.2 * apart).double().mean())
    if landed < 0.98:
        raise CheckFailure(
            f"the exact field of three points carries {landed:.1%} of the prior to within a fifth "
            "of their distance of one; expected nearly all"
        )
    counts = torch.bincount(nearest, minlength=3).double() / n
    expected = torch.tensor(_SHARES, dtype=torch.float64) / sum(_SHARES)
    allowed = SIGMAS * (expected * (1 - expected) / n).sqrt()
    if bool(((counts - expected).abs() > allowed).any()):
        found = ", ".join(f"{c:.3f}" for c in counts.tolist())
        raise CheckFailure(
            f"the exact field of points with shares 1/6, 1/3, 1/2 ends in shares {found}; {n} "
            f"draws allow {float(allowed.max()):.2g}"
        )

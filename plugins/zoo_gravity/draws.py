"""Three equal ways to draw gravity's z, p(z) proportional to (1 + |z|^2)^(-(d+1)/2).

Each is a function (like, generator) -> z, shaped like `like`: (B, *). None can return an
infinity: a denominator is never 0.
Source: kexue.fm/archives/9370, "the question revisited" (ratio) and "result analysis" (inverse).
"""

from __future__ import annotations

from collections.abc import Callable

import scipy.special
import torch
from torch import Tensor

from zoo.interfaces import directions, over, randn, uniform_open
from zoo.numerics import on_cpu

Draw = Callable[[Tensor, torch.Generator | None], Tensor]

# |eps_t| lies below this once in 1e12 draws; 1 / LEAST_EPS still squares to a finite float32.
LEAST_EPS = 1e-12


def gaussian_ratio(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw z = eps_x / |eps_t|, (eps_x, eps_t) ~ N(0, I_{d+1}): standard Cauchy, shape (B, *).

    Two Gaussian draws and no special function: the article's "surprise". eps_t is float64,
    since a float32 normal is exactly 0 about four times in 1e8.
    """
    eps_x = randn(like.shape, like, generator)
    eps_t = randn((len(like),), like, generator, dtype=torch.float64).abs()
    return eps_x.div_(over(eps_t.clamp(min=LEAST_EPS), like))


def chi_square(
    n: int, degrees: float, generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """Draw n chi-square variables with any real number of degrees, float64, never 0.

    By the inverse of the incomplete gamma function: one uniform per draw, so that the result
    depends on the generator alone and not on a rejection loop.
    """
    q = uniform_open(n, generator, device)
    return on_cpu(lambda u: 2 * scipy.special.gammaincinv(degrees / 2, u), q)


def beta_radius(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw z = rho u with rho^2 / (1 + rho^2) ~ Beta(d/2, 1/2), shape (B, *).

    The Beta variable is a / (a + b) with a, b chi-square of d and 1 degrees, so rho^2 = a / b:
    the odds are formed directly, since 1 - Beta loses its digits in the heavy tail.
    """
    u = directions(like, generator)
    dim = like[0].numel()
    above = chi_square(len(like), dim, generator, like.device)
    below = chi_square(len(like), 1, generator, like.device)
    return u.mul_(over((above / below.clamp(min=LEAST_EPS**2)).sqrt(), like))

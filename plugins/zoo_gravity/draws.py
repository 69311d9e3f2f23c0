"""Draws for gravity: of its z, p(z) proportional to (1 + |z|^2)^(-(d+1)/2), and of PFGM's (x_t, t).

There are three equal ways to draw z, each a function (like, generator) -> z, shaped like `like`:
(B, *). None can return an infinity: a denominator is never 0.
Source: kexue.fm/archives/9370, "the question revisited" (ratio) and "result analysis" (inverse).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import scipy.special
import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, check_positive, directions, over, randn, uniform_open
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


@dataclass(frozen=True)
class PFGMRecipe:
    """The law that PFGM trains on, x_t and t drawn together; defaults are the paper's for CIFAR-10.

        x_t = x_0 + |eps_x| (1 + tau)^m u,   t = |eps_t| (1 + tau)^m,   m ~ U[0, M]

    with (eps_x, eps_t) ~ N(0, sigma^2 I_{d+1}) and u uniform on the sphere. Given t this is the
    gravity kernel, z = eps_x / |eps_t|, wherever t is well inside the range of (1 + tau)^m: there
    log t = log |eps_t| + m log(1 + tau) says nothing about eps_t.
    Source: arXiv:2209.11178, eq. 9; kexue.fm/archives/9370, "the question revisited".

    Attributes:
        sigma: scale of the Gaussian draws, in data units.
        tau: growth per unit of m.
        M: largest exponent; t reaches about sigma (1 + tau)^M.
    """

    sigma: float = 0.01
    tau: float = 0.03
    M: float = 291.0

    def __post_init__(self) -> None:
        for name in ("sigma", "tau", "M"):
            number = check_positive(f"pfgm.{name}", getattr(self, name))
            object.__setattr__(self, name, number)  # a whole number may be longer than torch takes

    def draw(
        self, kernel: FieldKernel, x_0: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return (x_t, t), shapes (B, *), (B,); t is brought into [t_min, t_max], x_t with it."""
        where = x_0.device if generator is None else generator.device
        m = self.M * torch.rand(len(x_0), generator=generator, device=where, dtype=torch.float64)
        eps_x = randn(x_0.shape, x_0, generator)
        eps_t = randn((len(x_0),), x_0, generator, dtype=torch.float64).abs()
        eps_t = eps_t.clamp(min=LEAST_EPS)
        growth = self.sigma * (m.to(x_0.device) * math.log1p(self.tau)).exp()
        t = (growth * eps_t).clamp(kernel.t_min, kernel.t_max)
        return x_0 + over(t / eps_t, x_0) * eps_x, t.to(x_0)

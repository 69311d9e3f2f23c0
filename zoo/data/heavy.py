"""Distributions with heavy tails, in any number of dimensions: toy:student?d=20&nu=3.

Centred, and so wide that the middle half of a coordinate is about that of N(0, 1/4): networks
expect data of that size, and a standard deviation need not exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy.special import gammaincinv, stdtrit
from torch import Generator, Tensor

# The standard deviation of the Gaussian of the same middle, and its upper quartile.
_SIZE = 0.5
_QUARTILE = _SIZE * 0.674490
_CORRELATION = 0.5


def student(n: int, generator: Generator, *, d: int = 2, nu: float = 3.0) -> Tensor:
    """Draw x = s z sqrt(nu / c), z ~ N(0, I_d), c chi-square of nu degrees: (n, d), float64.

    A multivariate Student t law: density proportional to (1 + |x|^2 / (nu s^2))^(-(nu + d) / 2),
    tail index nu of the radius and of every coordinate.
    """
    z = torch.randn(n, d, generator=generator, dtype=torch.float64)
    q = torch.rand(n, generator=generator, dtype=torch.float64).clamp(min=2.0**-54)
    chi = 2 * torch.from_numpy(gammaincinv(nu / 2, q.numpy()))
    scale = _QUARTILE / float(stdtrit(nu, 0.75))
    return z * (scale * (nu / chi).sqrt())[:, None]


def copula(n: int, generator: Generator, *, d: int = 2, nu: float = 3.0) -> Tensor:
    """Draw coordinates of Student laws with nu, 2 nu and 4 nu degrees in turn, correlated: (n, d).

    They have a Gaussian copula, all correlations 1/2: the farthest rows are far in one coordinate.
    """
    common = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    own = torch.randn(n, d, generator=generator, dtype=torch.float64)
    z = math.sqrt(_CORRELATION) * common + math.sqrt(1 - _CORRELATION) * own
    p = torch.special.ndtr(-z.abs())  # of the lower half, where small ones keep their digits
    degrees = [nu * 2 ** (i % 3) for i in range(d)]
    columns = [
        _QUARTILE / float(stdtrit(nu_i, 0.75)) * -torch.from_numpy(stdtrit(nu_i, p[:, i].numpy()))
        for i, nu_i in enumerate(degrees)
    ]
    return torch.stack(columns, dim=1) * z.sign()


def alpha_stable(n: int, generator: Generator, *, d: int = 2, alpha: float = 1.7) -> Tensor:
    """Draw from the isotropic stable law E exp(i k.x) = exp(-|s k|^alpha), (n, d), float64.

    x = s sqrt(2 a) z with z ~ N(0, I_d) and a of the positive stable law of index b = alpha / 2,

        a = sin(b u) / sin(u)^(1/b) (sin((1 - b) u) / w)^((1 - b) / b),   u ~ U(0, pi), w ~ Exp(1).

    Source: Kanter, Annals of Probability 3 (1975), corollary 4.1. Tail index alpha.
    """
    b = alpha / 2
    u = math.pi * torch.rand(n, generator=generator, dtype=torch.float64).clamp(min=1e-12)
    w = torch.empty(n, dtype=torch.float64).exponential_(generator=generator).clamp(min=1e-300)
    rest = (((1 - b) * u).sin() / w) ** ((1 - b) / b)
    a = (b * u).sin() / u.sin() ** (1 / b) * rest
    z = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return z * (_SIZE * a.sqrt())[:, None]


class Law(NamedTuple):
    """How to draw, and for each option its default and its range."""

    draw: Callable[..., Tensor]
    options: dict[str, tuple[float, float, float]]


_DIM = (2, 2, 50)
LAWS = {
    "alpha-stable": Law(alpha_stable, {"d": _DIM, "alpha": (1.7, 0.5, 1.99)}),
    "copula": Law(copula, {"d": _DIM, "nu": (3.0, 0.5, 100)}),
    "student": Law(student, {"d": _DIM, "nu": (3.0, 0.5, 100)}),
}

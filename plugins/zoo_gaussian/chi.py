"""The law of |z| for z ~ N(0, I_d): chi with d degrees of freedom."""

from __future__ import annotations

import math

import scipy.special
from torch import Tensor

from zoo.interfaces import log_shell
from zoo.numerics import gammainc, on_cpu


def log_phi(rho: Tensor, dim: int) -> Tensor:
    """Return the log density -d/2 log(2 pi) - rho^2 / 2 of z where |z| = rho, like rho."""
    return -dim / 2 * math.log(2 * math.pi) - rho.square() / 2


def log_density(rho: Tensor, dim: int) -> Tensor:
    """Return the log density of |z| itself, like rho."""
    return log_phi(rho, dim) + log_shell(rho, dim)


def cdf(rho: Tensor, dim: int) -> Tensor:
    """Return P(|z| <= rho) = P(d/2, rho^2 / 2), the regularised incomplete gamma function."""
    return gammainc(dim / 2, rho.square() / 2)


def icdf(q: Tensor, dim: int) -> Tensor:
    """Return sqrt(2 P^{-1}(d/2, q)), like q."""
    return on_cpu(lambda p: scipy.special.gammaincinv(dim / 2, p), q.double()).mul(2).sqrt().to(q)

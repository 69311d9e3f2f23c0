"""Gravity, G = C (t, x_t - x_0) / (t^2 + r^2)^((d+1)/2), and PFGM++ with D extra dimensions.

    phi_t(r) = C t^D / (t^2 + r^2)^((d+D)/2),   C = Gamma((d+D)/2) / (pi^(d/2) Gamma(D/2))

Source: kexue.fm/archives/9370, "universal gravitation"; PFGM, arXiv:2209.11178, eq. 5; PFGM++,
arXiv:2302.04265, eq. 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import scipy.special
import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import (
    FieldKernel,
    KernelPrior,
    SelfSimilarKernel,
    check_choice,
    check_positive,
    check_real,
    did_you_mean,
    log_shell,
    over,
    randn,
)
from zoo.numerics import betainc, log_gamma_ratio, on_cpu
from zoo_gravity.draws import LEAST_EPS, Draw, PFGMRecipe, beta_radius, chi_square, gaussian_ratio


class StudentKernel(SelfSimilarKernel):
    """x_t = x_0 + t z with z multivariate Student t of D degrees of freedom, scale 1 / sqrt D.

    The squared radius obeys rho^2 / (1 + rho^2) ~ Beta(d/2, D/2).
    """

    def __init__(
        self, *, dim: int, degrees: float, t_min: float | None = None, t_max: float | None = None
    ) -> None:
        self.degrees = float(degrees)
        super().__init__(dim=dim, t_min=t_min, t_max=t_max)

    def unit_log_phi(self, rho: Tensor) -> Tensor:
        """Return log C - (d+D)/2 log(1 + rho^2), like rho."""
        log_c = log_gamma_ratio(self.degrees / 2, self.dim / 2) - self.dim / 2 * math.log(math.pi)
        return log_c - (self.dim + self.degrees) / 2 * self._log_one_plus(rho.square())

    def _log_one_plus(self, square: Tensor) -> Tensor:
        return torch.log1p(square)

    def unit_log_density(self, rho: Tensor) -> Tensor:
        """Return unit_log_phi + log S_d + (d - 1) log rho."""
        return self.unit_log_phi(rho) + log_shell(rho, self.dim)

    def unit_cdf(self, rho: Tensor) -> Tensor:
        """Return I_{rho^2 / (1 + rho^2)}(d/2, D/2), the regularised incomplete beta function."""
        a, b = self.dim / 2, self.degrees / 2
        square = rho.square()
        near = square < 1
        # Either end is computed from the side whose argument keeps its digits there.
        inner = torch.where(near, square / (1 + square), 0.5)
        outer = torch.where(near, 0.5, 1 / (1 + square))
        return torch.where(near, betainc(a, b, inner), 1 - betainc(b, a, outer))

    def unit_icdf(self, q: Tensor) -> Tensor:
        """Return sqrt(x / (1 - x)) with x the q quantile of Beta(d/2, D/2)."""
        a, b = self.dim / 2, self.degrees / 2
        inner = on_cpu(lambda p: scipy.special.betaincinv(a, b, p), q.double())
        outer = on_cpu(lambda p: scipy.special.betainccinv(b, a, p), q.double())
        odds = torch.where(inner < 0.5, inner / (1 - inner), (1 - outer) / outer)
        return odds.sqrt().to(q)


class GravityKernel(StudentKernel):
    """p_t(x_t | x_0) is multivariate Cauchy with location x_0 and scale t.

    x_t = x_0 + t z: Gaussian noise of level s = t / |eps_t|, which t does not determine.

    Args:
        dim: number of coordinates d.
        t_min: first time; by default matched to EDM's sigma_min by radius.
        t_max: time of the prior; by default matched to EDM's sigma_max by radius.
        draw: how to draw z: "ratio" eps_x / |eps_t|; "beta" a radius with
            rho^2 / (1 + rho^2) ~ Beta(d/2, 1/2); "inverse" a radius by the inverse radial CDF.
        pfgm: train on the joint law of (x_t, t) of the PFGM paper, with its constants
            {"sigma": 0.01, "tau": 0.03, "M": 291} (all optional).

    Attributes:
        noise_law: the PFGM recipe, or None to train on the trainer's own law of levels.

    Raises:
        ZooError: an unknown way to draw, or unknown constants.
    """

    def __init__(
        self,
        *,
        dim: int,
        t_min: float | None = None,
        t_max: float | None = None,
        draw: str = "ratio",
        pfgm: Mapping[str, Any] | None = None,
    ) -> None:
        draws: dict[str, Draw] = {
            "ratio": gaussian_ratio,
            "beta": beta_radius,
            "inverse": super().unit_sample,
        }
        self._draw = draws[check_choice("draw", draw, draws)]
        self.noise_law = None if pfgm is None else _recipe(pfgm)
        super().__init__(dim=dim, degrees=1.0, t_min=t_min, t_max=t_max)

    def _log_one_plus(self, square: Tensor) -> Tensor:
        # log1p takes six times as long; without large D the digits of 1 are enough.
        return (1 + square).log()

    def unit_sample(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw z, standard multivariate Cauchy, shaped like `like`: (B, *)."""
        return self._draw(like, generator)


class PFGMppKernel(StudentKernel):
    """PFGM++: gravity with D extra dimensions, any real D >= 1.

    D = 1 is gravity; D -> infinity at t = sigma sqrt D is the Gaussian kernel. In the paper's
    alignment r = sigma sqrt D, the time of an EDM noise level sigma is sigma sqrt D; the
    default times match the median radius, which tends to the same as D grows.

    Args:
        dim: number of coordinates d.
        D: number of extra dimensions; the paper's best are 128 and 2048.
        t_min: first time; by default matched to EDM's sigma_min by radius.
        t_max: time of the prior; by default matched to EDM's sigma_max by radius.

    Raises:
        ZooError: D is not a finite number of at least 1.
    """

    def __init__(
        self, *, dim: int, D: float = 128.0, t_min: float | None = None, t_max: float | None = None
    ) -> None:
        limit = "(its limit at infinity is the kernel 'gaussian')"
        check_real("D", D, f"a number of at least 1 {limit}", least=1)
        super().__init__(dim=dim, degrees=D, t_min=t_min, t_max=t_max)

    def aligned_time(self, sigma: float) -> float:
        """Return t = sigma sqrt D, the paper's time for EDM's noise level sigma (section 4)."""
        return sigma * math.sqrt(self.degrees)

    def unit_sample(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw z = eps / sqrt(chi-square with D degrees), shaped like `like`: (B, *)."""
        eps = randn(like.shape, like, generator)
        chi = chi_square(len(like), self.degrees, generator, like.device).sqrt().clamp(LEAST_EPS)
        return eps.div_(over(chi, like))


class GravityPrior(KernelPrior):
    """Multivariate Cauchy of scale T = kernel.t_max: p_T(x) = C T / (T^2 + |x|^2)^((d+1)/2).

    Drawn as the kernel draws at x_0 = 0, t = T: by default T eps_x / |eps_t|. Source:
    kexue.fm/archives/9370, "result analysis"; PFGM, arXiv:2209.11178, section 3.3.

    Args:
        kernel: gravity.
        largest_level: as in `KernelPrior`; PFGM's bound on the norm, for networks that have seen
            no farther.

    Raises:
        ZooError: largest_level is not a positive number.
    """

    def __init__(self, kernel: FieldKernel, *, largest_level: float | None = None) -> None:
        super().__init__(kernel)
        if largest_level is not None:
            self.largest_level = check_positive("largest_level", largest_level)


def _recipe(constants: Mapping[str, Any]) -> PFGMRecipe:
    if not isinstance(constants, Mapping):
        raise ZooError(f"pfgm = {constants!r}; expected constants such as {{'M': 291}}")
    known = ("sigma", "tau", "M")
    for name in constants:
        if name not in known:
            raise ZooError(f"pfgm has no constant {name!r}; {did_you_mean(str(name), known)}")
    return PFGMRecipe(**constants)

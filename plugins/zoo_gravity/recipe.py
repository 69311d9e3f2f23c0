"""The training law of the PFGM paper: x_t and t drawn together.

    x_t = x_0 + |eps_x| (1 + tau)^m u,   t = |eps_t| (1 + tau)^m,   m ~ U[0, M]

with (eps_x, eps_t) ~ N(0, sigma^2 I_{d+1}) and u uniform on the sphere. Given t this is the
gravity kernel, z = eps_x / |eps_t|, wherever t is well inside the range of (1 + tau)^m: there
log t = log |eps_t| + m log(1 + tau) says nothing about eps_t.
Source: arXiv:2209.11178, eq. 9; kexue.fm/archives/9370, "the question revisited".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, check_positive, over, randn
from zoo_gravity.draws import LEAST_EPS


@dataclass(frozen=True)
class PFGMRecipe:
    """The law of (x_t, t) that PFGM trains on; the defaults are the paper's for CIFAR-10.

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
            check_positive(f"pfgm.{name}", getattr(self, name))

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

"""What else gives heavy tails: transforms of the data, and Gaussian noise from a Student prior."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

import zoo
from zoo.interfaces import FieldKernel, PriorSampler
from zoo.numerics import tail_index

Array = NDArray[np.float64]
# In standard deviations of the middle of the data: where the ODE from a Student prior starts.
_START = 4.0
_LIGHT = 100.0
# Of every candidate; zoo.fit itself would take `columns` under some kernels only.
NETWORK: dict[str, Any] = {"use": "mlp", "width": 64, "blocks": 3}


@dataclass(frozen=True)
class Sampler:
    """How to draw, sample(n, seed=...), and what was chosen."""

    sample: Callable[..., Tensor]
    options: dict[str, Any]


def fitted(
    x: Array, seed: int, rows: int, *, columns: bool = False, **options: Any
) -> zoo.FieldModel:
    """Return what `zoo.fit` makes of rows, with network, batch and length of all candidates."""
    options |= {"images": rows, "batch": 256, "validation": 0, "seed": seed, "progress": False}
    return zoo.fit(x, network={**NETWORK, "columns": True} if columns else NETWORK, **options)


def soft_log_flow(x: Array, seed: int, rows: int) -> Sampler:
    """Flow matching on sign(z) log(1 + |z|), z = (x - median) / middle half of each column."""
    low, centre, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
    z = (x - centre) / (high - low)
    u = np.sign(z) * np.log1p(np.abs(z))
    model = fitted(u, seed, rows, kernel="flow")

    def sample(n: int, *, seed: int) -> Tensor:
        u = model.sample(n, seed=seed).double()
        z = u.sign() * u.abs().expm1()
        return z * torch.from_numpy(high - low) + torch.from_numpy(centre)

    return Sampler(sample, {})


def ranks_gaussian(x: Array, seed: int, rows: int) -> Sampler:
    """Gaussian noise on the normal scores of each column (scikit-learn's QuantileTransformer)."""
    from sklearn.preprocessing import QuantileTransformer

    scores = QuantileTransformer(
        n_quantiles=min(len(x), 10_000),
        output_distribution="normal",
        subsample=None,
        random_state=seed,
    )
    u = scores.fit_transform(x)
    model = fitted(u, seed, rows, kernel="gaussian")

    def sample(n: int, *, seed: int) -> Tensor:
        found = scores.inverse_transform(model.sample(n, seed=seed).double().numpy())
        return torch.from_numpy(found)

    return Sampler(sample, {})


class StudentPrior(PriorSampler):
    """x_T = scale z sqrt(nu / c), z ~ N(0, I_d), c chi-square of nu degrees."""

    def __init__(self, kernel: FieldKernel, nu: float, scale: float) -> None:
        super().__init__(kernel)
        self.nu, self.scale = nu, scale

    def sample(
        self, n: int, shape: tuple[int, ...], generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw x_T, (n, *shape), float64."""
        z = torch.randn(n, *shape, generator=generator, dtype=torch.float64)
        q = torch.rand(n, generator=generator, dtype=torch.float64).clamp(min=2.0**-54)
        chi = torch.from_numpy(stats.chi2.ppf(q.numpy(), self.nu))
        return self.scale * z * (self.nu / chi).sqrt()[:, None]

    def log_density(self, x_T: Tensor) -> Tensor:
        """Return log p_T(x_T), (n,)."""
        d, law = x_T.shape[1], stats.multivariate_t
        shape = self.scale**2 * np.eye(d)
        return torch.from_numpy(law.logpdf(x_T.numpy(), shape=shape, df=self.nu))


def gaussian_from_student(x: Array, seed: int, rows: int) -> Sampler:
    """Gaussian noise up to four deviations only, from where a Student law goes on.

    Its degrees are Hill's estimate, its median length that of data with so much noise.
    """
    start = _START * 0.5
    field = {"use": "gaussian", "t_max": start}
    model = fitted(x, seed, rows, kernel=field)
    assert model.standardise is not None
    z = model.standardise.apply(torch.from_numpy(x))
    nu = min(tail_index(z.norm(dim=1)), _LIGHT)
    generator = torch.Generator().manual_seed(seed)
    noised = z + start * torch.randn(z.shape, generator=generator, dtype=torch.float64)
    median = float(noised.norm(dim=1).median())
    scale = median / math.sqrt(z.shape[1] * float(stats.f.ppf(0.5, z.shape[1], nu)))
    model.prior = StudentPrior(model.kernel, nu, scale)
    return Sampler(model.sample, {"nu": float(f"{nu:.3g}")})


RIVALS: dict[str, Callable[[Array, int, int], Sampler]] = {
    "soft-log + flow": soft_log_flow,
    "ranks + gaussian": ranks_gaussian,
    "gaussian from a Student prior": gaussian_from_student,
}

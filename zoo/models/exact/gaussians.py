"""Closed forms: data from a mixture of Gaussians, under a kernel with Gaussian noise.

With p_0 = sum_k w_k N(m_k, C_k) and x_t = alpha x_0 + sigma n, S_k = alpha^2 C_k + sigma^2 I:

    p_t(x) = sum_k w_k N(x; alpha m_k, S_k)
    E[x_0 | x_t = x] = sum_k w_k(x) (m_k + alpha C_k S_k^{-1} (x - alpha m_k))

and for one Gaussian the ODE's solution is x_t = alpha m + (S_t / S_s)^(1/2) (x_s - alpha_s m).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Network, randn
from zoo.models.exact.network import UNNAMED
from zoo.networks.lifted import check_gaussian

_NEED = "mixtures have closed forms under Gaussian kernels only; give samples of the mixture"


@dataclass(frozen=True)
class GaussianMixture:
    """sum_k w_k N(m_k, C_k), kept by principal axes; build it with `full` or `diagonal`.

    Attributes:
        means: (K, *shape), float64.
        variances: along the axes, (K, d).
        weights: (K,), positive, of sum 1.
        axes: columns are unit vectors, (K, d, d); None for the coordinate axes.
    """

    means: Tensor
    variances: Tensor
    weights: Tensor
    axes: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.means)
        if self.means.ndim < 2 or not count or self.variances.shape != (count, self.dim):
            raise ZooError(
                f"means of shape {tuple(self.means.shape)} with variances of shape "
                f"{tuple(self.variances.shape)}; expected (K, *shape) and (K, d)"
            )
        if self.weights.shape != (count,) or not bool((self.weights > 0).all()):
            raise ZooError(f"weights have to be {count} positive numbers")
        if not bool((self.variances > 0).all()):
            raise ZooError("covariances have to be positive definite")

    @classmethod
    def diagonal(
        cls, means: Tensor, variances: Tensor | float, weights: Tensor | None = None
    ) -> GaussianMixture:
        """Return the mixture with diagonal covariances.

        Args:
            means: (K, *shape).
            variances: of each coordinate, broadcast to (K, *shape).
            weights: (K,), proportional; None for equal ones.

        Raises:
            ZooError: shapes that do not fit, or values that are not positive.
        """
        means, spread = means.double(), torch.as_tensor(variances, dtype=torch.float64)
        try:
            spread = spread.expand(means.shape).flatten(1)
        except (RuntimeError, IndexError):
            raise ZooError(
                f"means of shape {tuple(means.shape)} with variances of shape "
                f"{tuple(spread.shape)}; expected (K, *shape) and what broadcasts to it"
            ) from None
        return cls(means, spread, _normalised(weights, len(means)))

    @classmethod
    def full(
        cls, means: Tensor, covariances: Tensor, weights: Tensor | None = None
    ) -> GaussianMixture:
        """Return the mixture with any covariances.

        Args:
            means: (K, *shape).
            covariances: (K, d, d), symmetric positive definite.
            weights: (K,), proportional; None for equal ones.

        Raises:
            ZooError: shapes that do not fit, or a matrix that is not positive definite.
        """
        d = means[:1].numel()
        if covariances.shape != (len(means), d, d):
            raise ZooError(
                f"covariances of shape {tuple(covariances.shape)}; expected {(len(means), d, d)}"
            )
        variances, axes = torch.linalg.eigh(covariances.double())
        return cls(means.double(), variances, _normalised(weights, len(means)), axes)

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return self.means[0].numel()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.means.shape[1:])

    @property
    def std(self) -> float:
        """Standard deviation per coordinate, root mean square over them."""
        means = self.means.flatten(1)
        spread = (means - self.weights @ means).square() + self.variances
        return math.sqrt(float((self.weights @ spread).mean()))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n points, shape (n, *shape), float64."""
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = randn((n, self.dim), self.variances, generator) * self.variances[which].sqrt()
        if self.axes is not None:
            noise = (self.axes[which] @ noise[:, :, None])[:, :, 0]
        return self.means[which] + noise.reshape(n, *self.shape)


def _normalised(weights: Tensor | None, count: int) -> Tensor:
    weights = torch.ones(count) if weights is None else weights
    return weights.double() / weights.double().sum()


class MixtureDenoiser(Network):
    """E[x_0 | x_t] of a Gaussian mixture, in float64.

    Args:
        kernel: with Gaussian noise: gaussian, ve, vp, interpolant, flow.
        mixture: the data's law.

    Raises:
        ZooError: the kernel's noise is not Gaussian, or of another dimension.
    """

    predicts: Literal["denoised", "field"] = "denoised"
    why_unnamed = UNNAMED

    def __init__(self, kernel: FieldKernel, mixture: GaussianMixture) -> None:
        super().__init__()
        if mixture.dim != kernel.dim:
            raise ZooError(f"the mixture has {mixture.dim} coordinates, the kernel {kernel.dim}")
        check_gaussian(kernel, _NEED)
        self.kernel, self.sigma_data = kernel, mixture.std
        self.means = nn.Parameter(mixture.means.flatten(1).clone(), requires_grad=False)
        self.variances = nn.Parameter(mixture.variances.clone(), requires_grad=False)
        self.log_weights = nn.Parameter(mixture.weights.log(), requires_grad=False)
        self.axes = None
        if mixture.axes is not None:
            self.axes = nn.Parameter(mixture.axes.clone(), requires_grad=False)

    def _parts(self, x: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """Return (log w_k N_k, (B, K); S_k^{-1/2} part of x, (B, K, d); alpha C / S, (B, K, d))."""
        t = torch.as_tensor(t, dtype=torch.float64, device=x.device)
        alpha, sigma = (c.to(x).reshape(-1, 1, 1) for c in self.kernel.marginal(t))
        offset = x.flatten(1)[:, None] - alpha * self.means
        if self.axes is not None:
            offset = torch.einsum("bki,kij->bkj", offset, self.axes)
        total = alpha.square() * self.variances + sigma.square()
        exponent = (offset.square() / total + (2 * math.pi * total).log()).sum(2) / 2
        return self.log_weights - exponent, offset, alpha * self.variances / total

    def log_density(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return log p_t(x) in nats, shape (B,)."""
        return self._parts(x.to(self.means), t)[0].logsumexp(1).to(x.dtype)

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x_t], shape of x_t (B, *); t is a scalar or (B,)."""
        del labels
        logs, offset, gain = self._parts(x_t.to(self.means), t)
        shift = gain * offset
        if self.axes is not None:
            shift = torch.einsum("bkj,kij->bki", shift, self.axes)
        mean = torch.einsum("bk,bki->bi", logs.softmax(1), self.means + shift)
        return mean.reshape(x_t.shape).to(x_t)


def flow_map(
    kernel: FieldKernel, gaussian: GaussianMixture, x: Tensor, t_from: float, t_to: float
) -> Tensor:
    """Return the ODE's solution at t_to that is x (B, *) at t_from, for data of one Gaussian.

    x_t = alpha_t m + (S_t / S_s)^(1/2) (x_s - alpha_s m), S = alpha^2 C + sigma^2 I.

    Raises:
        ZooError: the mixture has more than one component, or the kernel is not Gaussian.
    """
    if len(gaussian.means) != 1:
        raise ZooError(f"the flow map of {len(gaussian.means)} Gaussians has no closed form")
    check_gaussian(kernel, _NEED)
    ends = torch.tensor([t_from, t_to], dtype=torch.float64)
    alpha, sigma = (c.double() for c in kernel.marginal(ends))
    mean, variances = gaussian.means.flatten(1)[0], gaussian.variances[0]
    spread = (alpha.square()[:, None] * variances + sigma.square()[:, None]).sqrt()
    axes = torch.eye(gaussian.dim, dtype=torch.float64)
    axes = axes if gaussian.axes is None else gaussian.axes[0]
    coordinates = (x.double().flatten(1) - alpha[0] * mean) @ axes
    there = alpha[1] * mean + (coordinates * spread[1] / spread[0]) @ axes.T
    return there.reshape(x.shape).to(x)

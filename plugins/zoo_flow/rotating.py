"""A flow that turns: x_t = (1 - t) x_0 + t R(omega t) A z, R a rotation of coordinate pairs.

    v = -x_0 + (1/t + omega J)(x_t - (1 - t) x_0),   J(x, y) = (-y, x) on every pair

v has a part across x_t - x_0: the article's varphi(t; x_t, x_0) that is no multiple of it. With
A = 1 the density is that of flow matching and only the swirl is added, a flux without divergence:
two kernels with one p_t and different fields.
Source: kexue.fm/archives/9370, "summary"; kexue.fm/archives/9379.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.interfaces import check_real, over
from zoo_flow.flow import FIRST_TIME, AnisotropicKernel, CovarianceLike

_MOST = 1e6  # radians: of more, float32 does not keep the direction


def on_pairs(x: Tensor, real: Tensor, turn: Tensor, alone: Tensor) -> Tensor:
    """Return (real + turn J) x on coordinate pairs (0, 1), (2, 3), ..., shape (B, d).

    real, turn and alone are () or (B, 1); the last coordinate of an odd number is multiplied by
    `alone`.
    """
    even = x.shape[1] // 2 * 2
    a, b = x[:, 0:even:2], x[:, 1:even:2]
    pairs = torch.stack([real * a - turn * b, turn * a + real * b], dim=2).flatten(1)
    return torch.cat([pairs, alone * x[:, even:]], dim=1)


class RotatingKernel(AnisotropicKernel):
    """Flow matching with noise that turns by omega t in every coordinate plane (0, 1), (2, 3) ...

    Args:
        dim: number of coordinates d; the last of an odd number does not turn.
        omega: angle, in radians, by which the noise has turned at t = 1.
        covariance: S = A A^T of the noise before it turns, as for AnisotropicKernel.
        t_min: first time.
        t_max: time of the prior, at most 1.

    Raises:
        ZooError: omega is not a finite number below a million, or the covariance is wrong.
    """

    affine_path = False

    def __init__(
        self,
        *,
        dim: int,
        omega: float = math.pi,
        covariance: CovarianceLike = 1.0,
        t_min: float = FIRST_TIME,
        t_max: float = 1.0,
    ) -> None:
        wanted = "a finite angle in radians, below a million"
        self.omega = check_real("omega", omega, wanted, least=-_MOST, below=_MOST)
        super().__init__(dim=dim, covariance=covariance, t_min=t_min, t_max=t_max)

    def _turned(self, x: Tensor, t: Tensor | float, sign: float) -> Tensor:
        angle = sign * self.omega * over(t, x)
        return on_pairs(x, angle.cos(), angle.sin(), torch.ones_like(angle))

    def _noise(self, z: Tensor, t: Tensor | float) -> Tensor:
        return self._turned(super()._noise(z, t), t, 1.0)

    def _noise_log_density(self, n: Tensor, t: Tensor | float) -> Tensor:
        return super()._noise_log_density(self._turned(n, t, -1.0), t)

    def _velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return v = -x_0 + (1/t + omega J)(x_t - (1 - t) x_0), shape (B, *)."""
        time = over(t, x_t)
        noise = (x_t - (1 - time) * x_0).flatten(1)
        swirl = torch.full_like(noise[:1, :1], self.omega)
        zero = torch.zeros_like(swirl)
        turned = on_pairs(noise, zero, swirl, zero).reshape(x_t.shape)
        return (x_t - x_0) / time + turned

    def denoised(self, field: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t] = (1/t + (1-t) omega J)^{-1} ((1/t + omega J) x_t - f)."""
        flat = x_t.flatten(1)
        time = over(t, flat)
        rate, swirl = 1 / time, self.omega * torch.ones_like(time)
        known = on_pairs(flat, rate, swirl, rate) - field.flatten(1)
        size = rate.square() + ((1 - time) * swirl).square()
        back = on_pairs(known, rate / size, -(1 - time) * swirl / size, time)
        return back.reshape(x_t.shape)

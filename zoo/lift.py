"""Lifting: any isotropic kernel on a denoiser trained with Gaussian noise.

Two isotropic kernels differ by the radial map r' = psi'^{-1}(psi(r)). In high dimension noise of
radius r is Gaussian noise of level sigma = r / sqrt(d), to a relative 1 / sqrt(2 d). A conditional
trajectory keeps its quantile, r = psi_t^{-1}(q), so with one level per sample

    dx/dt = (sigma'/sigma) (x - D(x; sigma)),   d sigma/dt = (dr/dt) / sqrt(d)

where D(x; sigma) = E[x_0 | x_0 + sigma n = x] is the Gaussian denoiser. For gravity sigma = c t
with c = 1 / |eps_t|, and the two ODEs coincide.
Source: kexue.fm/archives/9370, "these isotropic solutions are all equivalent".
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from zoo.build import kernel as build_kernel
from zoo.errors import ZooError
from zoo.exact_fields.gaussians import check_gaussian
from zoo.interfaces import (
    FieldKernel,
    Flow,
    IsotropicKernel,
    KernelPrior,
    Network,
    PriorSampler,
    Solver,
    over,
)
from zoo.interfaces.flow import Predict
from zoo.model import DEFAULT_STEPS, FieldModel, conditioned
from zoo.precondition import haar_level, norm_level

# The quantile of a radius is kept inside (0, 1) by this much: float64 knows no more near 1.
_LEAST_TAIL = 2.0**-53
_NEED = "a lift goes from a Gaussian kernel to an isotropic or Gaussian one"


def radial_map(
    kernel: IsotropicKernel,
    other: IsotropicKernel,
    r: Tensor,
    t: Tensor | float,
    t_other: Tensor | float,
) -> Tensor:
    """Return r' = psi'^{-1}(psi(r)), like r: the radius at equal quantile under another kernel.

    Args:
        kernel: whose radii r are, at time t.
        other: whose radii are wanted, at time t_other.
        r: radii |x_t - x_0| > 0.
        t: scalar, or like r.
        t_other: scalar, or like r.
    """
    q = kernel.radial_cdf(r.double(), t).clamp(_LEAST_TAIL, 1 - _LEAST_TAIL)
    return other.radial_icdf(q, t_other).to(r)


class GaussianDenoiser(Network):
    """D(x; level) = E[x_0 | x_0 + level n = x] from a network trained under a Gaussian kernel.

    forward takes the level in the place of t. Levels outside the network's own range [low, high]
    need no training: above, D(x; s) = D(x high / s; high) is the mean of the data up to
    O(sigma_data^2 / high^2), and the field (x - D)/t is known; below, D(x; low).

    Args:
        network: a denoiser, or a field from which the kernel recovers one.
        kernel: that it was trained under: gaussian, ve, vp, interpolant or flow.

    Raises:
        ZooError: the kernel's noise is not Gaussian.
    """

    predicts: Literal["denoised", "field"] = "denoised"

    def __init__(self, network: Network, kernel: FieldKernel) -> None:
        super().__init__()
        check_gaussian(kernel, _NEED)
        self.network, self.source, self.labels = network, kernel, network.labels
        self.tile = network.tile
        ends = torch.tensor([kernel.t_min, kernel.t_max], dtype=torch.float64)
        self.low, self.high = kernel.level(ends).tolist()

    def at(self, x: Tensor, alpha: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | alpha x_0 + sigma n = x], shape of x; alpha >= 0 and sigma () or (B,)."""
        level = (sigma / alpha).clamp(self.low, self.high)
        time = self.source.time_at(level)
        shown = self.source.marginal(time)[1].to(sigma)
        # In terms of sigma, not of alpha: alpha is 0 where flow matching begins.
        seen = over(shown / torch.maximum(sigma, self.low * alpha), x) * x
        out: Tensor = self.network(seen, time.to(x), labels)
        return self.source.denoised(out, seen, time) if self.network.predicts == "field" else out

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return D(x_t; t), shape of x_t (B, *); t is the level, scalar or (B,)."""
        level = t.double()
        return self.at(x_t, torch.ones_like(level), level, labels)


class LiftedNetwork(Network):
    """A Gaussian denoiser under another kernel; the level of a sample is read off x.

    Where the kernel's level is a function of t (gaussian, vp, flow) that is exact. For the others
    it is estimated as `zoo.precondition` does, which makes dx/dt a function of (x, t) alone: for
    `field`, `encode`, `decode` and likelihoods. Sampling knows better: see LiftedModel.

    Args:
        denoiser: the Gaussian denoiser.
        kernel: the kernel to run.
        shape: of one sample.

    Raises:
        ZooError: the kernel is neither isotropic nor Gaussian, or of another dimension.
    """

    def __init__(
        self, denoiser: GaussianDenoiser, kernel: FieldKernel, shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        if kernel.dim != denoiser.source.dim:
            raise ZooError(
                f"the kernel has dim {kernel.dim}, the network's own {denoiser.source.dim}"
            )
        if not isinstance(kernel, IsotropicKernel):
            check_gaussian(kernel, _NEED)
        self.denoiser, self.kernel, self.labels = denoiser, kernel, denoiser.labels
        self.tile = denoiser.tile
        self.predicts: Literal["denoised", "field"] = "denoised" if kernel.affine else "field"
        self._sigma_data = float(getattr(denoiser.network, "sigma_data", 0.5))
        self._grid = len(shape) == 3 and min(shape[1:]) >= 2

    def levels(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return (alpha, sigma) of each sample, () or (B,), float64."""
        alpha, sigma = (c.to(x.device, torch.float64) for c in self.kernel.marginal(t.double()))
        if self.kernel.random_level:
            seen = haar_level(x) if self._grid else norm_level(x, self._sigma_data)
            sigma = torch.maximum(seen.double(), self.kernel.least_level(t.double()).to(x.device))
        return alpha, sigma

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x_t], or the field where the kernel is not affine; shape (B, *)."""
        alpha, sigma = self.levels(x_t, t)
        d = self.denoiser.at(x_t, alpha, sigma, labels)
        if self.predicts == "denoised":
            return d
        return over(level_rate(self.kernel, sigma, t), x_t) * (x_t - d)


def level_rate(kernel: FieldKernel, level: Tensor, t: Tensor) -> Tensor:
    """Return (d sigma/dt) / sigma of samples of level sigma at t, (B,): that of their radius."""
    assert isinstance(kernel, IsotropicKernel)
    r = level.double() * math.sqrt(kernel.dim)
    return kernel.radial_velocity(r, t.to(r)) / r


class CarryingFlow(Flow):
    """The lifted ODE of (x, sigma), flat: (B, d + 1), each sample with a level of its own.

    The level travels in the state, as one more coordinate of the size that all others have:
    solvers may drop samples that have arrived, or estimate errors and levels from the state.

    Args:
        kernel: isotropic, of random level.
        by_level: D(x, level), the Gaussian denoiser.
        shape: of one sample.
        dtype: of the denoiser.
        labels: class numbers (B,), or None.
    """

    def __init__(
        self,
        kernel: IsotropicKernel,
        by_level: Predict,
        shape: tuple[int, ...],
        *,
        dtype: torch.dtype,
        labels: Tensor | None = None,
    ) -> None:
        super().__init__(kernel, by_level, dtype=dtype, labels=labels)
        self.shape = shape

    def pack(self, x: Tensor) -> Tensor:
        """Return the state of x_T, shape (B, *shape), whose radius around 0 gives its level."""
        flat = x.flatten(1)
        level = flat.square().mean(dim=1, keepdim=True).sqrt()
        return torch.cat([flat, level.clamp(min=torch.finfo(x.dtype).tiny)], dim=1)

    def unpack(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return (x, sigma), shapes (B, *shape) and (B,)."""
        return state[:, :-1].reshape(-1, *self.shape), state[:, -1]

    def _parts(self, state: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (x, D, level, t); the level stays positive where a long step would not."""
        if not isinstance(t, Tensor) or t.device.type == "cpu":
            self.kernel.check_time(t)
        self.nfe += 1
        x, level = self.unpack(state)
        level = level.clamp(min=torch.finfo(x.dtype).tiny)
        d = self.predict(x, level).to(x.dtype)
        if self.guard and not bool(d.isfinite().all()):
            raise ZooError(
                f"the network's output is not finite at t = {float(torch.as_tensor(t).max()):g}"
            )
        return x, d, level, torch.as_tensor(t, dtype=torch.float64, device=x.device)

    def field(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return the time derivative of the state x, shape (B, d + 1)."""
        point, d, level, t = self._parts(x, t)
        rate = level_rate(self.kernel, level, t)[:, None]
        return torch.cat([rate * (point - d).flatten(1), rate * level[:, None]], dim=1)

    def denoise(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return (D, 0), shape (B, d + 1): without noise the level is 0."""
        _, d, level, _ = self._parts(x, t)
        return torch.cat([d.flatten(1), torch.zeros_like(level)[:, None]], dim=1)


class LiftedFlow(Flow):
    """The ODE of (x, t) alone, and the denoiser by level for whoever knows the level."""

    def __init__(
        self,
        kernel: FieldKernel,
        network: LiftedNetwork,
        labels: Tensor | None,
        guidance: float,
        dtype: torch.dtype,
    ) -> None:
        predict = conditioned(network, guidance, kernel.dim)
        super().__init__(kernel, predict, network.predicts, dtype=dtype, labels=labels)
        self._by_level = conditioned(network.denoiser, guidance, kernel.dim)

    def carrying(self, shape: tuple[int, ...]) -> CarryingFlow:
        """Return the ODE of (x, sigma), for samples of one shape.

        Raises:
            ZooError: the kernel is not isotropic.
        """
        if not isinstance(self.kernel, IsotropicKernel):
            raise ZooError(f"{type(self.kernel).__name__} is not isotropic: it has no radius")
        return CarryingFlow(
            self.kernel, self._by_level, shape, dtype=self._dtype, labels=self.labels
        )


class LiftedModel(FieldModel):
    """A model that runs another kernel on its denoiser; made by `lift`.

    Samples carry their level along the ODE, drawn once with x_T: sigma(T) = |x_T| / sqrt(d).
    `field`, `denoise`, `encode`, `decode` and `log_prob` see (x, t) alone and estimate it.
    """

    network: LiftedNetwork
    _steps: int = DEFAULT_STEPS

    @property
    def steps(self) -> int:
        """Default number of solver steps: that of the model that was lifted."""
        return self._steps

    def flow(self, labels: Tensor | None = None, guidance: float = 1.0) -> LiftedFlow:
        """Return the model's ODE, for a solver; `labels` (B,) and guidance as for `sample`."""
        return LiftedFlow(self.kernel, self.network, labels, guidance, self.dtype)

    def _walk(self, solver: Solver, flow: Flow, x: Tensor, steps: int, callback: Any) -> Tensor:
        if not self.kernel.random_level or not isinstance(flow, LiftedFlow):
            return super()._walk(solver, flow, x, steps, callback)
        carrying = flow.carrying(self.shape)
        state = super()._walk(solver, carrying, carrying.pack(x), steps, callback)
        return carrying.unpack(state)[0]


def lift(
    model: FieldModel,
    kernel: FieldKernel | str,
    *,
    prior: PriorSampler | None = None,
    solver: Solver | None = None,
) -> LiftedModel:
    """Return the model that runs `kernel` on the denoiser of a Gaussian model; no training.

    Args:
        model: trained (or exact) under a Gaussian kernel: gaussian, ve, vp, interpolant, flow.
        kernel: an isotropic or Gaussian kernel, or the name of one; by default times match the
            noise levels 0.002 to 80.
        prior: a prior sampler of `kernel`; by default its law at x_0 = 0.
        solver: by default the model's own.

    Raises:
        ZooError: the model's kernel is not Gaussian, or `kernel` neither isotropic nor Gaussian,
            or of another dimension.
    """
    if isinstance(kernel, str):
        kernel = build_kernel(kernel, dim=model.kernel.dim)
    denoiser = GaussianDenoiser(model.network, model.kernel)
    lifted = LiftedModel(
        kernel,
        prior or KernelPrior(kernel),
        LiftedNetwork(denoiser, kernel, model.shape),
        solver or model.solver,
        model.shape,
    )
    lifted._steps = model.steps
    return lifted.train(model.training)

"""Likelihoods along the ODE: the density that a model gives to data.

    log p_0(x_0) = log p_T(x_T) + integral_0^T div f_t(x_t) dt

x_t is the trajectory that starts at x_0, and the integral begins at the kernel's t_min. In low
dimension the divergence is exact, the trace of the Jacobian by one backward pass per coordinate;
in high dimension it is Hutchinson's estimate mean_k e_k . (df/dx) e_k with random signs e_k kept
along the trajectory, so that each k estimates the whole integral and their spread gives the error.

    result = zoo.likelihood.log_prob(model, images)
    result.nats, result.standard_error, result.bits_per_dim, result.note

Sources: FFJORD, arXiv:1810.01367, section 3.1; score SDE, arXiv:2011.13456, appendix D.2.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.build import solver as build_solver
from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Flow, Solver
from zoo.model import FieldModel
from zoo.noise import GROUP, mix

# Up to this many coordinates the divergence is exact unless the caller says otherwise.
EXACT_UP_TO = 16
DEFAULT_PROBES = 8
LEVELS = 256
# Each step of the default solver is right to this, relative and absolute: by the field's dtype.
FINE, COARSE = 1e-7, 1e-5
# Numbers per batch: one sample of an image model holds a network's whole graph.
_BATCH_COORDINATES = 2**18


@dataclass(frozen=True)
class LogLikelihood:
    """What `log_prob` found.

    Attributes:
        nats: log density per sample in data units, or log probability of integer images, (n,).
        standard_error: of `nats`, from the spread of Hutchinson's probes; 0 where exact, (n,).
        dim: number of coordinates d.
        nfe: evaluations of the field.
        note: what the numbers are, in words.
    """

    nats: Tensor
    standard_error: Tensor
    dim: int
    nfe: int
    note: str

    @property
    def bits_per_dim(self) -> Tensor:
        """-nats / (d log 2), shape (n,)."""
        return -self.nats / (self.dim * math.log(2))


class _Trace(ABC):
    """The divergence of a field from products of its Jacobian with vectors."""

    columns: int

    @abstractmethod
    def __call__(self, pull: Callable[[Tensor], Tensor], like: Tensor, place: Tensor) -> Tensor:
        """Return estimates of the trace, (B, columns).

        `pull(v)` is v . (df/dx), for v and results like `like`, (B, d); `place` (B,) numbers the
        samples.
        """


class _ExactTrace(_Trace):
    columns = 1

    def __call__(self, pull: Callable[[Tensor], Tensor], like: Tensor, place: Tensor) -> Tensor:
        del place
        units = torch.eye(like.shape[1], dtype=like.dtype, device=like.device)
        rows = (pull(unit.expand_as(like))[:, i] for i, unit in enumerate(units))
        return torch.stack([*rows], dim=1).sum(dim=1, keepdim=True)


class _HutchinsonTrace(_Trace):
    def __init__(self, signs: Tensor) -> None:
        self.signs, self.columns = signs, signs.shape[1]

    def __call__(self, pull: Callable[[Tensor], Tensor], like: Tensor, place: Tensor) -> Tensor:
        signs = self.signs[place].to(like)
        return torch.stack([(pull(s) * s).sum(dim=1) for s in signs.unbind(1)], dim=1)


class _StateKernel(FieldKernel):
    """What a solver may know of the ODE of a larger state: its times and levels, nothing else."""

    affine = False

    def __init__(self, kernel: FieldKernel) -> None:
        super().__init__(dim=kernel.dim, t_min=kernel.t_min, t_max=kernel.t_max)
        self._kernel = kernel

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return the kernel's own (alpha, sigma), shaped like t."""
        return self._kernel.marginal(t)

    def time_at(self, level: Tensor | float) -> Tensor:
        """Return the kernel's own time of a noise level."""
        return self._kernel.time_at(level)

    def log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Refuse: see the class."""
        raise NotImplementedError

    def velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Refuse: see the class."""
        raise NotImplementedError

    def sample(
        self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None = None
    ) -> Tensor:
        """Refuse: see the class."""
        raise NotImplementedError


class _WithDivergence(Flow):
    """The ODE of (x, integrals of div f), flat: (B, d + columns)."""

    def __init__(self, flow: Flow, shape: tuple[int, ...], trace: _Trace) -> None:
        self.kernel, self.guard, self.rows = _StateKernel(flow.kernel), False, None
        self._flow, self._shape, self._trace = flow, shape, trace

    @property
    def nfe(self) -> int:  # type: ignore[override]
        """Evaluations of the field so far."""
        return self._flow.nfe

    def pack(self, x: Tensor) -> Tensor:
        """Return the state that starts at x, shape (B, *shape)."""
        return torch.cat([x.flatten(1), x.new_zeros(len(x), self._trace.columns)], dim=1)

    def unpack(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return x, shape (B, *shape), and the integrals, (B, columns)."""
        d = math.prod(self._shape)
        return state[:, :d].reshape(-1, *self._shape), state[:, d:]

    def field(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return the time derivative of the state x, shape (B, d + columns)."""
        flow = self._flow
        flow.guard, flow.rows = self.guard, self.rows
        place = torch.arange(len(x), device=x.device) if self.rows is None else self.rows
        with torch.enable_grad():
            point = self.unpack(x)[0].detach().flatten(1).requires_grad_()
            slope = flow.field(point.reshape(-1, *self._shape), t).flatten(1)

            def pull(v: Tensor) -> Tensor:
                if not slope.requires_grad:
                    return torch.zeros_like(point)
                (product,) = torch.autograd.grad(slope, point, v, retain_graph=True)
                return product

            divergence = self._trace(pull, point, place)
        return torch.cat([slope.detach(), divergence.detach()], dim=1)

    def denoise(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Refuse: a solver has no business with it, since the kernel is not affine."""
        del x, t
        raise ZooError("this solver asks for a denoiser where the kernel is not affine")


def dequantise(
    images: Tensor, *, seed: int = 0, value_range: tuple[float, float] = (-1.0, 1.0)
) -> Tensor:
    """Return integer images 0..255 spread uniformly over their bins, float64, same shape.

    Bins have width w = (high - low) / 255 and are centred on the values that models train on, so
    log P(image) >= E[log p(x)] + d log w by Jensen's inequality.
    Source: Theis, van den Oord and Bethge, arXiv:1511.01844, section 3.1.

    Args:
        images: integers (n, *shape).
        seed: the noise of sample i depends on (seed, i) alone.
        value_range: what 0 and 255 become.

    Raises:
        ZooError: values that are not integers of 0..255.
    """
    if images.is_floating_point() or images.is_complex() or images.dtype == torch.bool:
        raise ZooError(f"images are {str(images.dtype).removeprefix('torch.')}; expected integers")
    if len(images) and (int(images.min()) < 0 or int(images.max()) >= LEVELS):
        raise ZooError(f"images have values outside 0..{LEVELS - 1}")
    low, high = value_range
    noise = _by_group(
        len(images),
        seed,
        lambda g: torch.rand((GROUP, *images.shape[1:]), generator=g, dtype=torch.float64),
    ).to(images.device)
    return low + (images.double() + noise - 0.5) * ((high - low) / (LEVELS - 1))


def _by_group(n: int, seed: int, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """Return n rows drawn in groups of 16, so that row i depends on (seed, i) alone."""
    generators = (torch.Generator().manual_seed(mix(seed, g)) for g in range(-(-n // GROUP)))
    groups = [draw(generator) for generator in generators]
    return torch.cat(groups)[:n] if groups else draw(torch.Generator())[:0]


def _signs(n: int, probes: int, dim: int, seed: int) -> Tensor:
    """Return random signs (n, probes, dim), int8."""
    return _by_group(
        n,
        seed,
        lambda g: (
            torch.randint(2, (GROUP, probes, dim), generator=g, dtype=torch.int8).mul_(2).sub_(1)
        ),
    )


@torch.inference_mode(False)
@torch.no_grad()
def log_prob(
    model: FieldModel,
    x_0: Tensor,
    *,
    exact: bool | None = None,
    probes: int = DEFAULT_PROBES,
    steps: int | None = None,
    solver: Solver | str | None = None,
    seed: int = 0,
    batch_size: int | None = None,
) -> LogLikelihood:
    """Return the log likelihood of data under a model.

    Args:
        model: any kernel, prior and network.
        x_0: data (n, *shape); floats for a density in data units, integers 0..255 for images,
            which are dequantised uniformly into a bound on their log probability.
        exact: the divergence exactly, or by Hutchinson's estimate; None for exact up to 16
            coordinates.
        probes: random vectors per sample, at least 2 so that the error can be stated.
        steps: of the solver; a hint to the default one, which is adaptive.
        solver: a solver or the name of one; by default dopri5, at a tolerance of 1e-7 for a
            float64 field and 1e-5 for a float32 network.
        seed: of probes and dequantisation; sample i depends on (seed, i) alone.
        batch_size: samples at a time.

    Raises:
        ZooError: data of the wrong shape or not finite, or an option out of range.
    """
    for name, value, least in (("probes", probes, 2), ("batch_size", batch_size, 1)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ZooError(f"{name} = {value!r}; expected a whole number")
        if value is not None and value < least:
            raise ZooError(f"{name} = {value}; expected a whole number of at least {least}")
    if tuple(x_0.shape[1:]) != model.shape:
        raise ZooError(f"x_0 has shape {tuple(x_0.shape)}; expected (n, *{model.shape})")
    dim, note = model.kernel.dim, "log density in data units"
    volume = 0.0
    if not x_0.is_floating_point():
        ends = _value_range(model)
        x_0 = dequantise(x_0, seed=seed, value_range=ends)
        volume = dim * math.log((ends[1] - ends[0]) / (LEVELS - 1))
        note = "lower bound of the log probability of 8-bit images, uniformly dequantised"
    if not bool(x_0.isfinite().all()):
        raise ZooError("x_0 is not finite")
    walk = _solver(solver, model)
    exact = dim <= EXACT_UP_TO if exact is None else exact
    signs = None if exact else _signs(len(x_0), probes, dim, mix(seed, -1))
    size = batch_size or max(1, _BATCH_COORDINATES // dim)
    estimates, nfe = [], 0
    for first in range(0, len(x_0), size):
        part = slice(first, first + size)
        trace = _ExactTrace() if signs is None else _HutchinsonTrace(signs[part].to(model.device))
        flow = _WithDivergence(model.flow(), model.shape, trace)
        start = flow.pack(x_0[part].clone().to(model.device, torch.float64))
        ends_at = walk.integrate(
            flow, start, model.kernel.t_min, model.kernel.t_max, steps=steps or model.steps
        )
        x_T, integral = flow.unpack(ends_at)
        estimates.append((integral + model.prior.log_density(x_T)[:, None] + volume).cpu())
        nfe += flow.nfe
    columns = torch.cat(estimates) if estimates else torch.zeros(0, 2, dtype=torch.float64)
    error = torch.zeros(len(columns), dtype=torch.float64)
    if not exact:
        error = columns.std(dim=1) / math.sqrt(probes)
    how = "exact divergence" if exact else f"Hutchinson's estimate, {probes} probes"
    return LogLikelihood(columns.mean(dim=1), error, dim, nfe, f"{note}; {how}")


def _solver(solver: Solver | str | None, model: FieldModel) -> Solver:
    if solver is None:
        tolerance = FINE if model.dtype == torch.float64 else COARSE
        return build_solver("dopri5", rtol=tolerance, atol=tolerance)
    return build_solver(solver) if isinstance(solver, str) else solver


def _value_range(model: FieldModel) -> tuple[float, float]:
    ends = model.config.data.range if model.config else (-1.0, 1.0)
    if ends is None:
        raise ZooError("x_0 holds integers, but the model's data are not images with a range")
    return ends

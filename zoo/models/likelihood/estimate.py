"""log_prob: the log likelihood of data, with the error of its estimate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.host.build import solver as build_solver
from zoo.interfaces import Solver
from zoo.models.accurate import accurate_solver
from zoo.models.likelihood.dequantise import LEVELS, dequantise
from zoo.models.likelihood.flow import FlowWithDivergence
from zoo.models.likelihood.traces import ExactTrace, HutchinsonTrace, random_signs
from zoo.models.model import FieldModel
from zoo.sampling.arguments import whole
from zoo.sampling.rng import PROBES, seed_for

# Up to this many coordinates the divergence is exact unless the caller says otherwise.
EXACT_UP_TO = 16
DEFAULT_PROBES = 8
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
    probes = whole("probes", probes, 2)
    dim = model.kernel.dim
    size = max(1, _BATCH_COORDINATES // dim)
    size = size if batch_size is None else whole("batch_size", batch_size, 1)
    x_0, volume, note = _densities_of(model, x_0, seed)
    walk = _solver(solver, model)
    exact = dim <= EXACT_UP_TO if exact is None else exact
    signs = None if exact else random_signs(len(x_0), probes, dim, seed_for(seed, PROBES))
    estimates, nfe = [torch.zeros(0, 1 if exact else probes, dtype=torch.float64)], 0
    for first in range(0, len(x_0), size):
        part = slice(first, first + size)
        trace = ExactTrace() if signs is None else HutchinsonTrace(signs[part].to(model.device))
        flow = FlowWithDivergence(model.flow(), model.shape, trace)
        start = flow.pack(x_0[part].clone().to(model.device, torch.float64))
        end = walk.integrate(
            flow, start, model.kernel.t_min, model.kernel.t_max, steps=steps or model.steps
        )
        x_T, integral = flow.unpack(end)
        estimates.append((integral + model.prior.log_density(x_T)[:, None] + volume).cpu())
        nfe += flow.nfe
    columns = torch.cat(estimates)
    if exact:
        error, how = torch.zeros(len(columns), dtype=torch.float64), "exact divergence"
    else:
        error = columns.std(dim=1) / math.sqrt(probes)
        how = f"Hutchinson's estimate, {probes} probes"
    return LogLikelihood(columns.mean(dim=1), error, dim, nfe, f"{note}; {how}")


def _densities_of(model: FieldModel, x_0: Tensor, seed: int) -> tuple[Tensor, float, str]:
    """Return points whose log density is asked for, what to add to it, and what that makes it.

    Raises:
        ZooError: data of the wrong shape or not finite, or integers where there is no range.
    """
    if tuple(x_0.shape[1:]) != model.shape:
        raise ZooError(f"x_0 has shape {tuple(x_0.shape)}; expected (n, *{model.shape})")
    if x_0.is_floating_point():
        if not bool(x_0.isfinite().all()):
            raise ZooError("x_0 is not finite")
        return x_0, 0.0, "log density in data units"
    low, high = _value_range(model)
    volume = model.kernel.dim * math.log((high - low) / (LEVELS - 1))
    note = "lower bound of the log probability of 8-bit images, uniformly dequantised"
    return dequantise(x_0, seed=seed, value_range=(low, high)), volume, note


def _solver(solver: Solver | str | None, model: FieldModel) -> Solver:
    if solver is None:
        return accurate_solver(model.dtype, FINE if model.dtype == torch.float64 else COARSE)
    return build_solver(solver) if isinstance(solver, str) else solver


def _value_range(model: FieldModel) -> tuple[float, float]:
    ends = model.config.data.range if model.config else (-1.0, 1.0)
    if ends is None:
        raise ZooError("x_0 holds integers, but the model's data are not images with a range")
    return ends

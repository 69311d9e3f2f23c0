"""The log likelihood of data along an ODE, with the error of its estimate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.config.standardise import Standardise
from zoo.errors import ZooError
from zoo.interfaces import Flow, PriorSampler, Solver
from zoo.interfaces.checks import all_finite, check_integer
from zoo.interfaces.solver import StepCallback
from zoo.models.likelihood.flow import Divergence, FlowWithDivergence, random_signs
from zoo.models.likelihood.noted import estimated_densities
from zoo.models.trajectory import IntegrationBar
from zoo.sampling.rng import GROUP, PIXELS, PROBES, by_group, seed_for

LEVELS = 256


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
    noise = by_group(
        0,
        len(images),
        seed,
        lambda g: torch.rand((GROUP, *images.shape[1:]), generator=g, dtype=torch.float64),
        PIXELS,
    ).to(images.device)
    return low + (images.double() + noise - 0.5) * ((high - low) / (LEVELS - 1))


# Up to this many coordinates the divergence is exact unless the caller says otherwise.
EXACT_UP_TO = 16
# Exponential steps from t_min to t_max where the divergence is estimated.
LIKELIHOOD_STEPS = 48
DEFAULT_PROBES, _MOST_PROBES = 8, 2**16
# Numbers per batch: one sample of an image model holds a network's whole graph.
_BATCH_COORDINATES = 2**18


@dataclass(frozen=True)
class LogLikelihood:
    """The log likelihood of some data.

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
def log_likelihood(
    flow: Flow,
    prior: PriorSampler,
    x_0: Tensor,
    *,
    solver: Solver | None,
    steps: int,
    exact: bool,
    value_range: tuple[float, float] | None = None,
    standardise: Standardise | None = None,
    probes: int = DEFAULT_PROBES,
    seed: int = 0,
    batch_size: int | None = None,
    device: torch.device | None = None,
    rows: int = 1,
    progress: bool = False,
) -> LogLikelihood:
    """Return the log likelihood of data under an ODE and a prior; see `FieldModel.log_likelihood`.

    The solver steps by the field alone, or is None for exponential steps with a spline through the
    divergences; the flow's labels and conditions are those of all data. The integers 0 and 255
    become the ends of `value_range`, None where data are no images. Data are in data units, the
    flow in those of `standardise`. `device` is the flow's, by default that of x_0. So many `rows`
    cost the network as much as one.

    Raises:
        ZooError: data that are not finite, or an option out of range.
    """
    kernel, device = flow.kernel, device or x_0.device
    dim = kernel.dim
    probes = check_integer("probes", probes, 2, _MOST_PROBES)
    seed = check_integer("seed", seed)
    size = max(1, _BATCH_COORDINATES // dim)
    size = size if batch_size is None else check_integer("batch_size", batch_size, 1)
    x_0, volume, note = _densities_of(x_0, value_range, seed)
    if standardise is not None:
        x_0 = standardise.apply(x_0.double())
        volume -= standardise.log_volume(x_0.shape[1:])
    # Data scaled as they are at t_min: p_0(x) = alpha^d p_{t_min}(alpha x), but for the last noise.
    alpha = float(kernel.marginal(kernel.t_min)[0])
    volume += dim * math.log(alpha)
    signs = None if exact else random_signs(len(x_0), probes, dim, seed_for(seed, PROBES))
    estimates = [torch.zeros(0, 1 if exact else probes, dtype=torch.float64)]
    labels, condition = flow.labels, flow.condition
    times = kernel.t_min, kernel.t_max
    with IntegrationBar(len(x_0), times, progress) as bar:
        for first in range(0, len(x_0), size):
            part = slice(first, first + size)
            flow.labels = None if labels is None else labels[part]
            flow.condition = None if condition is None else condition[part]
            own = None if signs is None else signs[part].to(device)
            start = alpha * x_0[part].to(device, torch.float64)
            bar.batch(len(start))
            divergence = Divergence(flow, tuple(x_0.shape[1:]), own, rows)
            given, after_step = (flow, divergence, prior, start), bar.after_step
            if solver is None:
                found = estimated_densities(*given, steps=steps, callback=after_step)
            else:
                found = _integrated_densities(solver, *given, steps=steps, callback=after_step)
            estimates.append((found + volume).cpu())
    columns = torch.cat(estimates)
    if exact or not len(columns):
        error, how = torch.zeros(len(columns), dtype=torch.float64), "exact divergence"
    else:
        error = columns.std(dim=1) / math.sqrt(probes)
        how = f"Hutchinson's estimate, {probes} probes"
    return LogLikelihood(columns.mean(dim=1), error, dim, flow.nfe, f"{note}; {how}")


def _integrated_densities(
    solver: Solver,
    flow: Flow,
    divergence: Divergence,
    prior: PriorSampler,
    x: Tensor,
    *,
    steps: int,
    callback: StepCallback,
) -> Tensor:
    """Return log p(x) by each column of the divergence, (B, columns), from one ODE of both."""
    both, kernel = FlowWithDivergence(flow, tuple(x.shape[1:]), divergence), flow.kernel
    times = kernel.t_min, kernel.t_max
    end = solver.integrate(both, both.pack(x), *times, steps=steps, callback=callback)
    x_T, integrals = both.unpack(end)
    return integrals + prior.log_density(x_T)[:, None]


def _densities_of(
    x_0: Tensor, value_range: tuple[float, float] | None, seed: int
) -> tuple[Tensor, float, str]:
    """Return points, what to add to their log density, and what the sum is, in words.

    Raises:
        ZooError: data that are not finite, or integers where there is no range.
    """
    if x_0.is_floating_point():
        if not all_finite(x_0):
            raise ZooError("x_0 is not finite")
        return x_0, 0.0, "log density in data units"
    if value_range is None:
        raise ZooError("x_0 holds integers, but the model's data are not images with a range")
    low, high = value_range
    volume = math.prod(x_0.shape[1:]) * math.log((high - low) / (LEVELS - 1))
    note = "lower bound of the log probability of 8-bit images, uniformly dequantised"
    return dequantise(x_0, seed=seed, value_range=value_range), volume, note

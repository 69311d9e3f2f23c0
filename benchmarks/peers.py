"""Samplers of other libraries on a null network, for those that are installed.

Each is a function (x, steps) -> evaluations, made by `samplers()`. It includes the setup that a
library needs per run, not the setup per model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor

Sampler = Callable[[Tensor, int], int]
PACKAGES = ("diffusers", "azula", "k-diffusion", "torchdiffeq")
HIGH = 80.0
LOW = 0.002


def installed() -> tuple[dict[str, str], list[str]]:
    """Return the versions of the installed libraries, and a note for each of the others."""
    found = {}
    notes = []
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            notes.append(f"{package} is not installed: not measured")
    return found, notes


def samplers() -> tuple[dict[str, Sampler], list[str]]:
    """Return the samplers of the installed libraries by name, and a note for each of the others."""
    found, notes = installed()
    makers = {
        "diffusers": diffusers_samplers,
        "azula": azula_samplers,
        "k-diffusion": k_diffusion_samplers,
        "torchdiffeq": torchdiffeq_samplers,
    }
    peers: dict[str, Sampler] = {}
    for package in found:
        try:
            peers |= dict(makers[package]())
        except ImportError as error:
            notes.append(f"{package} is installed but does not import ({error}): not measured")
    return peers, notes


def diffusers_samplers() -> Iterator[tuple[str, Sampler]]:
    """Yield a pipeline's loop for four schedulers; the last state is the sample."""
    import diffusers

    def loop(scheduler: diffusers.SchedulerMixin) -> Sampler:
        def sample(x: Tensor, steps: int) -> int:
            scheduler.set_timesteps(steps)
            for t in scheduler.timesteps:
                scaled = scheduler.scale_model_input(x, t)
                x = scheduler.step(scaled, t, x).prev_sample
            return len(scheduler.timesteps)

        return sample

    yield "diffusers Heun", loop(diffusers.HeunDiscreteScheduler())
    yield "diffusers DDIM", loop(diffusers.DDIMScheduler())
    yield "diffusers DPM-Solver++ 2M", loop(diffusers.DPMSolverMultistepScheduler())
    yield "diffusers UniPC", loop(diffusers.UniPCMultistepScheduler())


def azula_samplers() -> Iterator[tuple[str, Sampler]]:
    """Yield azula's samplers on a denoiser that returns its input."""
    from azula import denoise, noise, sample

    class Null(denoise.Denoiser):
        def __init__(self) -> None:
            super().__init__()
            self.schedule = noise.VESchedule(LOW, HIGH)
            self.calls = 0

        def forward(self, x_t: Tensor, t: Tensor, **kwargs: object) -> denoise.DiracPosterior:
            del t, kwargs
            self.calls += 1
            return denoise.DiracPosterior(mean=x_t)

    def run(kind: type) -> Sampler:
        def sample(x: Tensor, steps: int) -> int:
            null = Null()
            kind(null, steps=steps, silent=True)(x)
            return null.calls

        return sample

    yield "azula Heun", run(sample.HeunSampler)
    yield "azula DDIM", run(sample.DDIMSampler)
    yield "azula zABSampler (order 3)", run(sample.zABSampler)


def k_diffusion_samplers() -> Iterator[tuple[str, Sampler]]:
    """Yield k-diffusion's Heun and DPM-Solver++ 2M."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from k_diffusion import sampling

    def run(method: Callable[..., Tensor]) -> Sampler:
        def sample(x: Tensor, steps: int) -> int:
            calls = 0

            def null(x: Tensor, sigma: Tensor) -> Tensor:
                nonlocal calls
                del sigma
                calls += 1
                return x

            method(null, x, sampling.get_sigmas_karras(steps, LOW, HIGH), disable=True)
            return calls

        return sample

    yield "k-diffusion Heun", run(sampling.sample_heun)
    yield "k-diffusion DPM-Solver++ 2M", run(sampling.sample_dpmpp_2m)


def torchdiffeq_samplers() -> Iterator[tuple[str, Sampler]]:
    """Yield torchdiffeq as torchcfm samples by it: a field from t = 0 to 1."""
    from torchdiffeq import odeint

    def run(method: str) -> Sampler:
        def sample(x: Tensor, steps: int) -> int:
            calls = 0

            def field(t: Tensor, x: Tensor) -> Tensor:
                nonlocal calls
                del t
                calls += 1
                return x

            odeint(field, x, torch.linspace(0, 1, steps), method=method)
            return calls

        return sample

    for method in ("euler", "heun2", "midpoint"):
        yield f"torchcfm by torchdiffeq {method}", run(method)

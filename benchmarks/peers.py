"""Samplers of other libraries on a null network, for those that are installed.

Each is a function (x, steps) -> evaluations, made by `samplers()`; what a library asks to be
set up once per walk is part of its walk, what it asks once per model is not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor

Walk = Callable[[Tensor, int], int]
PACKAGES = ("diffusers", "azula", "k-diffusion", "torchdiffeq")
HIGH, LOW = 80.0, 0.002


def installed() -> tuple[dict[str, str], list[str]]:
    """Return the versions of the peers that are there, and a note on each that is not."""
    found, notes = {}, []
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            notes.append(f"{package} is not installed: not measured")
    return found, notes


def samplers() -> tuple[dict[str, Walk], list[str]]:
    """Return the walks of all peers that are there, by name, and a note on each that is not."""
    found, notes = installed()
    makers = {
        "diffusers": diffusers_walks,
        "azula": azula_walks,
        "k-diffusion": k_diffusion_walks,
        "torchdiffeq": torchdiffeq_walks,
    }
    walks: dict[str, Walk] = {}
    for package in found:
        try:
            walks |= dict(makers[package]())
        except ImportError as error:
            notes.append(f"{package} is installed but does not import ({error}): not measured")
    return walks, notes


def diffusers_walks() -> Iterator[tuple[str, Walk]]:
    """Yield a pipeline's loop for four schedulers; the last of a walk's values is the sample."""
    import diffusers

    def loop(scheduler: diffusers.SchedulerMixin) -> Walk:
        def walk(x: Tensor, steps: int) -> int:
            scheduler.set_timesteps(steps)
            for t in scheduler.timesteps:
                shown = scheduler.scale_model_input(x, t)
                x = scheduler.step(shown, t, x).prev_sample
            return len(scheduler.timesteps)

        return walk

    yield "diffusers Heun", loop(diffusers.HeunDiscreteScheduler())
    yield "diffusers DDIM", loop(diffusers.DDIMScheduler())
    yield "diffusers DPM-Solver++ 2M", loop(diffusers.DPMSolverMultistepScheduler())
    yield "diffusers UniPC", loop(diffusers.UniPCMultistepScheduler())


def azula_walks() -> Iterator[tuple[str, Walk]]:
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

    def run(kind: type) -> Walk:
        def walk(x: Tensor, steps: int) -> int:
            null = Null()
            kind(null, steps=steps, silent=True)(x)
            return null.calls

        return walk

    yield "azula Heun", run(sample.HeunSampler)
    yield "azula DDIM", run(sample.DDIMSampler)
    yield "azula zABSampler (order 3)", run(sample.zABSampler)


def k_diffusion_walks() -> Iterator[tuple[str, Walk]]:
    """Yield k-diffusion's Heun and DPM-Solver++ 2M."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from k_diffusion import sampling

    def run(method: Callable[..., Tensor]) -> Walk:
        def walk(x: Tensor, steps: int) -> int:
            calls = 0

            def null(x: Tensor, sigma: Tensor) -> Tensor:
                nonlocal calls
                del sigma
                calls += 1
                return x

            method(null, x, sampling.get_sigmas_karras(steps, LOW, HIGH), disable=True)
            return calls

        return walk

    yield "k-diffusion Heun", run(sampling.sample_heun)
    yield "k-diffusion DPM-Solver++ 2M", run(sampling.sample_dpmpp_2m)


def torchdiffeq_walks() -> Iterator[tuple[str, Walk]]:
    """Yield torchdiffeq as torchcfm samples by it: a field from t = 0 to 1."""
    from torchdiffeq import odeint

    def run(method: str) -> Walk:
        def walk(x: Tensor, steps: int) -> int:
            calls = 0

            def field(t: Tensor, x: Tensor) -> Tensor:
                nonlocal calls
                del t
                calls += 1
                return x

            odeint(field, x, torch.linspace(0, 1, steps), method=method)
            return calls

        return walk

    for method in ("euler", "heun2", "midpoint"):
        yield f"torchcfm by torchdiffeq {method}", run(method)

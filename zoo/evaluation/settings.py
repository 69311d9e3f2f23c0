"""Settings under which a model is measured, what they cost, and samples drawn under one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import structs
from torch import Tensor

from zoo.config.part import called
from zoo.errors import ZooError
from zoo.evaluation.perturb import NoisySolver, check_bits, check_noise, quantised
from zoo.evaluation.report import Setting
from zoo.interfaces import Solver
from zoo.models.model import FieldModel
from zoo.models.sharded import sample_sharded
from zoo.sampling.distributed import DistributedContext
from zoo.sampling.given import typical
from zoo.sampling.guidance import Guidance
from zoo.sampling.rng import GROUP


@dataclass(frozen=True)
class Measurement:
    """What to measure under each setting.

    Attributes:
        metrics: names, see zoo.evaluation.metrics.
        samples: number of samples per seed.
        seeds: one set of samples is drawn for each.
    """

    metrics: tuple[str, ...]
    samples: int
    seeds: tuple[int, ...]


def evaluations(model: FieldModel, solver: Solver, steps: int) -> int:
    """Return the evaluations (NFE) that one group of 16 samples takes, the last step included.

    For a solver that chooses its own steps it is the number for the slowest of the group.
    """
    given = typical(model.condition)
    options: dict[str, Any] = {"steps": steps, "solver": solver, "seed": 0, "condition": given}
    return model.latents.trajectory(GROUP, keep=False, **options).nfe


def steps_for(solver: Solver, budget: int) -> int:
    """Return the largest number of steps of `solver` that takes at most `budget` evaluations.

    The last step, to t = 0, takes one. More steps take more evaluations, or as many, so it is found
    by halving.

    Raises:
        ZooError: the solver chooses its own steps, or one step is too much.
    """
    name = called(solver)
    try:
        best = bisect_right(
            range(1, budget + 1),
            budget,
            key=lambda n: solver.evaluations(n - 1) + 1 if n > 1 else 1,
        )
    except ZooError as error:
        raise ZooError(f"{name} cannot keep to {budget} evaluations: {error}") from error
    if best < 2 <= budget:
        raise ZooError(f"{name} cannot keep to {budget} evaluations: one step needs more")
    return best


def model_setting(model: FieldModel, solver: str | None, steps: int | None) -> Setting:
    """Return the model's own setting, with another solver or number of steps if they are given.

    Raises:
        ZooError: the solver is unknown, or none is given and the model's own has no name.
    """
    name = solver or (model.solver.part.use if model.solver.part else "")
    if not name:
        raise ZooError("the model's solver has no name; build it with zoo.solver(name, ...)")
    count = model.steps if steps is None else steps
    return Setting(name, count, evaluations(model, model.solver_called(name), count))


def sweep(model: FieldModel, solvers: Sequence[str], budgets: Sequence[int]) -> list[Setting]:
    """Return a setting per solver and budget, with the most steps that the budget (NFE) allows.

    Raises:
        ZooError: an unknown solver, or one that cannot keep to a number of evaluations.
    """
    settings = []
    for name in solvers:
        solver = model.solver_called(name)
        for budget in budgets:
            steps = steps_for(solver, budget)
            settings.append(Setting(name, steps, evaluations(model, solver, steps)))
    return [*dict.fromkeys(settings)]


def perturbed(
    settings: Sequence[Setting], noise: Sequence[float], bits: Sequence[int]
) -> list[Setting]:
    """Return each setting once per amount of noise and once per number of bits.

    Raises:
        ZooError: an amount or a number of bits is out of range.
    """
    for amount in noise:
        check_noise(amount)
    for number in bits:
        check_bits(number)
    noisy = [structs.replace(s, noise=amount) for s in settings for amount in noise]
    return noisy + [structs.replace(s, bits=count) for s in settings for count in bits]


def check_noisy(model: FieldModel, settings: Sequence[Setting]) -> None:
    """Check, before anything is drawn, that noise can be added between the steps of the solvers.

    Raises:
        ZooError: a solver that chooses its own steps, has noise of its own, or is made for one
            number of steps.
    """
    kernel = model.kernel
    for setting in (setting for setting in settings if setting.noise):
        noisy = NoisySolver(model.solver_called(setting.solver), setting.noise)
        noisy.solver.times(kernel, kernel.t_max, kernel.t_min, max(1, setting.steps - 1))


def describe(setting: Setting, measurement: Measurement, classes: int = 0) -> str:
    """Return one line about the samples that are drawn under a setting."""
    perturbation = f", noise {setting.noise:g}" if setting.noise else ""
    perturbation += f", weights of {setting.bits} bits" if setting.bits else ""
    of_classes = f" of {classes} classes" if classes else ""
    return (
        f"{len(measurement.seeds)} x {measurement.samples:,} samples{of_classes} "
        f"by {setting.solver}, {setting.steps} steps, {setting.nfe} evaluations{perturbation}"
    )


def draw_samples(
    model: FieldModel,
    setting: Setting,
    measurement: Measurement,
    context: DistributedContext,
    *,
    labels: Tensor | None = None,
    condition: Tensor | None = None,
    guidance: float | Guidance | None = None,
) -> Iterator[Tensor]:
    """Yield one set of samples per seed, (n, *shape) each, in the first process; none in others.

    Each process draws a part of every set; labels (n,), condition (n, *) and guidance are as for
    `FieldModel.sample`.
    """
    solver = model.solver_called(setting.solver)
    if setting.noise:
        solver = NoisySolver(solver, setting.noise)
    if setting.bits is not None:
        model = quantised(model, setting.bits)
    for seed in measurement.seeds:
        samples = sample_sharded(
            model,
            context,
            measurement.samples,
            steps=setting.steps,
            solver=solver,
            seed=seed,
            labels=labels,
            condition=condition,
            guidance=guidance,
            progress=context.is_main,
        )
        if samples is not None:
            yield samples

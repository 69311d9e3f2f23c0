"""A solver learned for one model and one number of steps, by gradient through its walk.

The teacher is an accurate solver from the same starts. With z the end of a walk and z* the
teacher's, both as the network knows them and clamped to the range of the data, the loss is

    mean over samples of sqrt(|z - z*|^2 / d + c^2) - c

a pseudo-Huber distance: the few samples that become another image do not drown the others.
Weights of the network stay as they are. There are three sets of starts: Adam descends on the first,
the second chooses between where it arrived and where it began, and the third is what is reported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from zoo.errors import ZooError, check_flag
from zoo.evaluation.tune import Tuned
from zoo.evaluation.walks import CHOSEN_ON, REPORTED, Walks
from zoo.host.build import solver as build_solver
from zoo.interfaces import FEW_STEPS, SIGMA_DATA, Solver
from zoo.interfaces.checks import check_choice, check_integer, check_positive
from zoo.models.model import FieldModel
from zoo.models.parts import check_model
from zoo.models.posterior import PosteriorParts
from zoo.sampling.arguments import Numbers, step_count
from zoo.sampling.few_steps import LEARN, FewSteps, few_levels, gradient_batch, levels_of
from zoo.sampling.modes import evaluation_mode
from zoo.sampling.predict import unwrapped
from zoo.sampling.progress import bar

# Step lengths of Adam for the gaps of log levels and for the coefficients.
_RATES = {"grid": 0.03, "coefficients": 0.015}
_CHECKS = 6
# Parts of the time: for the accurate trajectories, and for what comes after the descent.
_TEACHING, _LAST = 0.25, 0.1


def learn_solver(
    model: FieldModel,
    *,
    steps: int | None = None,
    learn: str = "both",
    n: int | None = None,
    seed: int = 0,
    rounds: int = 150,
    minutes: float = 10.0,
    labels: Numbers | None = None,
    condition: Numbers | None = None,
    guidance: float | None = None,
    progress: bool = False,
) -> Tuned:
    """Return the solver "learned" with coefficients for a model and one number of steps.

    Where the model's solver is `learned` for so many steps, learning goes on from it; else from
    `exp-abm3`, with the scale of the model's solver where a step of that is one evaluation: of the
    coefficients alone on the solver's grid or the default one, else on grids that end above t_min,
    the solver's own among them. `before` is the loss of the model's own solver in as
    many evaluations, of `exp-abm3` where it has no such steps (`heun`, `dopri5`); `after` is that
    of the result, which is the same where learning does not help: both on starts that neither the
    descent nor the choice has seen.

    Args:
        model: the model; it is left as it is, see `adopt`.
        steps: as for `sample`, 2 to 64; the model's default if None.
        learn: "coefficients" of the steps, the "grid", or "both".
        n: number of starts in each of the three sets; None for 1024 of rows, and 128 of images, of
            large ones fewer.
        seed: of the starts; the result depends on it and on nothing random besides.
        rounds: gradient steps, on 512 rows each, or 64 images, fewer where they are large or steps
            many.
        minutes: about how long it takes; where they are few it has fewer starts and rounds, and
            results depend on the machine. It has one batch of starts and one round at least.
        labels: as for `sample`, of 3 n samples; all classes in turn if None.
        condition: as for `sample`, of 3 n samples.
        guidance: as for `sample`.
        progress: show a progress bar.

    Raises:
        ZooError: an option out of range; labels or conditions that `sample` would refuse; a model
            that is a posterior.
    """
    check_model(model)
    if isinstance(model, PosteriorParts):
        raise ZooError("no solver is learned for a posterior: learn one for the model it is of")
    model.needs_field("be tuned")
    check_choice("learn", learn, LEARN)
    steps = step_count(steps, model.solver.own_steps or model.steps, 2)
    steps = check_integer("steps", steps, 2, FEW_STEPS)
    n = 2 * gradient_batch(model.latents.shape, 1) if n is None else check_integer("n", n, 1)
    rounds, minutes = check_integer("rounds", rounds, 1), check_positive("minutes", minutes)
    check_flag("progress", progress)
    given: dict[str, Any] = {"labels": labels, "condition": condition, "guidance": guidance}
    began, span = time.monotonic(), 60 * minutes
    with torch.inference_mode(False), torch.enable_grad(), evaluation_mode(model), _frozen(model):
        walks = Walks(model, n, steps, seed=seed, until=began + _TEACHING * span, **given)
        return _learned(walks, learn, rounds, began + (1 - _LAST) * span, progress)


def _learned(walks: Walks, learn: str, rounds: int, ends_at: float, progress: bool) -> Tuned:
    """Return the better of the model's solver and the learned one."""
    model, steps = walks.model, walks.steps
    own = _own(model, steps)
    start = min(_starts(model, own, steps, learn), key=walks.mean)
    options = _descend(walks, start, learn, rounds, ends_at, progress)
    known = own or _starts(model, None, steps, "coefficients")[0]
    found = known, build_solver("learned", **options)
    best = min(found, key=lambda solver: walks.mean(solver, CHOSEN_ON))
    before, after = (walks.mean(solver, REPORTED) for solver in (known, best))
    levels = _options(best)["grid"] if _is_learned(best) else levels_of(model.kernel, best, steps)
    return Tuned(best, steps, tuple(levels), before, after)


def _options(solver: Solver) -> dict[str, Any]:
    return {} if solver.part is None else solver.part.options


def _is_learned(solver: Solver) -> bool:
    return solver.part is not None and solver.part.use == "learned"


def _own(model: FieldModel, steps: int) -> Solver | None:
    """Return the model's solver where its samples take `steps` evaluations along a grid."""
    own = model.solver
    if own.own_steps not in (None, steps):
        return None
    try:
        levels_of(model.kernel, own, steps)
        return own if own.evaluations(steps - 1) == steps - 1 else None
    except ZooError:  # it chooses its own steps, or its levels do not decrease
        return None


def _starts(model: FieldModel, own: Solver | None, steps: int, learn: str) -> list[Solver]:
    """Return what learning may begin with, with the scale of the model's own solver."""
    if own is not None and _is_learned(own):
        return [own]
    plain = build_solver("exp-abm3")
    if learn == "coefficients":
        grids = [levels_of(model.kernel, solver, steps) for solver in (own or plain, plain)]
    else:
        # That end early, where the descent sees what their end is worth.
        size = unwrapped(model.network).sigma_data or SIGMA_DATA
        grids = few_levels(model.kernel, own or plain, steps, size)
    scale = {} if own is None else {k: v for k, v in _options(own).items() if k == "scale"}
    return [build_solver("learned", grid=grid, **scale) for grid in grids]


@contextmanager
def _frozen(model: FieldModel) -> Iterator[None]:
    wanted = [p for p in model.parameters() if p.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


def _descend(
    walks: Walks, start: Solver, learn: str, rounds: int, ends_at: float, progress: bool
) -> dict[str, Any]:
    """Return the options of the best solver on the way, by the learned starts."""
    options = _options(start)
    solver: Any = build_solver("learned", **options)
    steps = FewSteps(solver, learn)
    inputs = [*steps.free.values()]
    groups = [{"params": [value], "lr": _RATES[name]} for name, value in steps.free.items()]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, rounds, eta_min=1e-4)
    best = walks.mean(solver), options
    every = max(1, rounds // _CHECKS)
    with bar(total=rounds, unit="step", shown=progress) as shown:
        for i in range(rounds):
            steps.put(solver)
            first = i * walks.batch % walks.n
            optimiser.zero_grad()
            try:
                loss = walks.loss(solver, first, min(first + walks.batch, walks.n))
                torch.autograd.backward(loss, inputs=inputs)
            except ZooError:  # the state is lost: what was best stands
                break
            if not all(v.grad is not None and bool(v.grad.isfinite().all()) for v in inputs):
                break
            torch.nn.utils.clip_grad_norm_(inputs, 1.0)
            optimiser.step()
            schedule.step()
            shown.update()
            late = time.monotonic() > ends_at
            if late or i + 1 == rounds or (i + 1) % every == 0:
                new = steps.options(options)
                best = min(
                    best, (walks.mean(build_solver("learned", **new)), new), key=lambda b: b[0]
                )
            if late:
                break
    return best[1]

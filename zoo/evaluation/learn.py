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
from torch import Tensor
from torch.nn.functional import softplus
from tqdm import tqdm

from zoo.errors import ZooError, check_flag
from zoo.evaluation.tune import Tuned
from zoo.evaluation.walks import CHOSEN_ON, REPORTED, Walks, batch_of
from zoo.host.build import solver as build_solver
from zoo.interfaces import Solver
from zoo.interfaces.checks import check_choice, check_integer, check_positive
from zoo.models.model import FieldModel
from zoo.models.parts import check_model
from zoo.sampling.arguments import Numbers, step_count
from zoo.sampling.modes import evaluation_mode

LEARN = ("coefficients", "grid", "both")
MOST_STEPS = 64
# Step lengths of Adam for the gaps of log levels and for the corrections.
_GRID_RATE, _WEIGHT_RATE = 0.03, 0.015
_CHECKS, _DIGITS, _TOP = 6, 6, 160.0
# Parts of the time: for the accurate trajectories, and for what comes after the descent.
_TEACHING, _LAST = 0.25, 0.1
# Where grids may end to begin with, in standard deviations of the data.
_ENDS = (0.05, 0.15, 0.4)


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
    """Return the solver "learned" with numbers for a model and one number of steps.

    Where the model's solver is one of so many steps already, learning goes on from it; else from
    `exp-abm3`, and from a grid that ends above t_min. `before` is the loss of `exp-abm3`, or of the
    model's solver, `after` that of the result, which is the same where learning does not help: both
    on starts that neither the descent nor the choice has seen.

    Args:
        model: the model; it is left as it is, see `adopt`.
        steps: as for `sample`, 2 to 64; the model's default if None.
        learn: "coefficients" of the steps, the "grid", or "both".
        n: number of starts in each of the three sets; None for 64 of images, 1024 of rows.
        seed: of the starts; the result depends on it and on nothing random besides.
        rounds: gradient steps, on 32 images each, or 512 rows.
        minutes: that it takes at most; where they are few it has fewer starts and rounds, and
            results depend on the machine.
        labels: as for `sample`, of 3 n samples; all classes in turn if None.
        condition: as for `sample`, of 3 n samples.
        guidance: as for `sample`.
        progress: show a progress bar.

    Raises:
        ZooError: an option out of range; labels or conditions that `sample` would refuse.
    """
    check_model(model)
    check_choice("learn", learn, LEARN)
    steps = check_integer("steps", step_count(steps, model.steps, 2), 2, MOST_STEPS)
    n = 2 * batch_of(model) if n is None else check_integer("n", n, 1)
    rounds, minutes = check_integer("rounds", rounds, 1), check_positive("minutes", minutes)
    check_flag("progress", progress)
    began = time.monotonic()
    end = began + 60 * minutes
    with torch.inference_mode(False), evaluation_mode(model), _frozen(model):
        walks = Walks(
            model,
            n,
            steps,
            seed=seed,
            guidance=guidance,
            labels=labels,
            condition=condition,
            until=end - (1 - _TEACHING) * 60 * minutes,
        )
        plain = model.solver
        if plain.own_steps != steps:
            plain = build_solver("learned", **_plain(model, steps))
        start = plain
        if plain is not model.solver and learn != "coefficients":
            start = min(_raised(model, steps), key=walks.mean, default=plain)
        options = _descend(walks, start, learn, rounds, end - _LAST * 60 * minutes, progress)
        found = plain, build_solver("learned", **options)
        best = min(found, key=lambda solver: walks.mean(solver, CHOSEN_ON))
        before, after = (walks.mean(solver, REPORTED) for solver in (plain, best))
    return Tuned(best, steps, tuple(_part_options(best)["grid"]), before, after)


def _part_options(solver: Solver) -> dict[str, Any]:
    assert solver.part is not None
    return solver.part.options


def _plain(model: FieldModel, steps: int) -> dict[str, Any]:
    """Return options with which `learned` is exp-abm3 on its own grid."""
    kernel = model.kernel
    times = build_solver("exp-abm3").times(kernel, kernel.t_max, kernel.t_min, steps - 1)
    return {"grid": kernel.level(times).clamp(max=_TOP).tolist()}


def _raised(model: FieldModel, steps: int) -> list[Solver]:
    """Return solvers on EDM's grid that end above t_min."""
    top = _plain(model, steps)["grid"][0]
    spread = model.network.sigma_data or 0.5
    part = torch.linspace(0, 1, steps, dtype=torch.float64)
    ends = [end * spread for end in _ENDS if end * spread < top]
    grids = [(top ** (1 / 7) * (1 - part) + end ** (1 / 7) * part) ** 7 for end in ends]
    return [build_solver("learned", grid=grid.tolist()) for grid in grids]


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
    options = {**_part_options(start)}
    solver: Any = build_solver("learned", **options)
    known = solver.learnable()
    logs, weights = known["grid"], known["coefficients"].clone()
    top, raw = logs[-1], logs.diff().expm1().log()  # softplus(raw) is the gap of two log levels
    used = torch.ones_like(weights).tril(-1)  # step i knows i values before the newest
    free = {"coefficients": [weights], "grid": [raw], "both": [raw, weights]}[learn]
    groups = [{"params": [v], "lr": _WEIGHT_RATE if v is weights else _GRID_RATE} for v in free]
    for value in free:
        value.requires_grad_()
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, rounds, eta_min=1e-4)
    best = walks.mean(solver), options
    every = max(1, rounds // _CHECKS)
    with tqdm(total=rounds, unit="step", disable=None if progress else True) as bar:
        for i in range(rounds):
            gaps = softplus(raw)
            below = top - gaps.flip(0).cumsum(0).flip(0)
            solver.learn(grid=torch.cat([below, top[None]]), coefficients=weights * used)
            first = i * walks.batch % walks.n
            optimiser.zero_grad()
            with torch.enable_grad():
                try:
                    loss = walks.loss(solver, first, min(first + walks.batch, walks.n))
                    torch.autograd.backward(loss)
                except ZooError:  # the state is lost: what was best stands
                    break
            if not all(v.grad is not None and bool(v.grad.isfinite().all()) for v in free):
                break
            torch.nn.utils.clip_grad_norm_(free, 1.0)
            optimiser.step()
            schedule.step()
            bar.update()
            late = time.monotonic() > ends_at
            if late or i + 1 == rounds or (i + 1) % every == 0:
                new = {**options, **_written(top, raw, weights * used, learn, options)}
                best = min(
                    best, (walks.mean(build_solver("learned", **new)), new), key=lambda b: b[0]
                )
            if late:
                break
    return best[1]


def _written(
    top: Tensor, raw: Tensor, weights: Tensor, learn: str, options: dict[str, Any]
) -> dict[str, Any]:
    """Return what was learned as plain numbers of six digits."""
    gaps = softplus(raw.detach())
    levels = torch.cat([top[None], top - gaps.flip(0).cumsum(0)]).exp()
    rows = weights.detach().tolist()
    found: dict[str, Any] = {}
    if learn != "coefficients":
        found["grid"] = [float(f"{v:.{_DIGITS}g}") for v in levels.tolist()]
        found["grid"][0] = options["grid"][0]
    if learn != "grid":
        found["corrections"] = [
            [float(f"{v:.{_DIGITS}g}") for v in row[: min(i, len(row))]]
            for i, row in enumerate(rows)
        ]
    return found

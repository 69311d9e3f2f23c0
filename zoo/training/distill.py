"""Few-step students: a network that jumps along its teacher's ODE, `zoo.distill`.

The student begins with the teacher's weights and takes the steps of the solver `flow-map`, N
evaluations for a sample. Its step from x_i, where it has come by itself, is trained to end at the
teacher's state x*_{i+1} of the same start, the last one at the teacher's sample:

    loss = mean over samples of sum_i sqrt(|D_i - D*_i|^2 / d + c^2) - c

a pseudo-Huber distance, where D*_i is what would end the step there, so that every step counts
alike (but for those that hardly depend on D, see `FlowMap.errors`). No step passes gradients to
those before it: each learns to correct what they left.
Sources: distillation by regression, Luhman & Luhman, arXiv:2101.02388; flow maps,
arXiv:2406.07507; the distance, arXiv:2310.14189.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import cast

import msgspec
import torch

from zoo.config.distilled import MOST, SOLVER, Distilled, text
from zoo.config.model import Config, Weights
from zoo.config.part import SolverPart
from zoo.config.training import public
from zoo.errors import ZooError, brief, check_flag
from zoo.folder.card_edit import license_of
from zoo.host.build import solver as build_solver
from zoo.host.requirements import requirements
from zoo.interfaces import SIGMA_DATA, Solver
from zoo.interfaces.checks import check_choice, check_integer, check_positive
from zoo.models.lift import LiftedModel
from zoo.models.load import load
from zoo.models.model import FieldModel
from zoo.models.parts import check_model
from zoo.models.posterior import PosteriorParts
from zoo.sampling.guidance import Guidance
from zoo.sampling.modes import evaluation_mode
from zoo.sampling.predict import unwrapped
from zoo.training.student import Run, Worth
from zoo.training.teacher import StudentSolver

MINUTES = 10.0
# Of a step: rows, or images, of which large ones are fewer.
_ROWS, _IMAGES, _LEAST_IMAGES, _COORDINATES = 512, 64, 8, 2**18
# Levels of evaluations after the first, in standard deviations of the data.
_FIRST_LEVEL, _ONE_LEVEL, _LAST_LEVEL = 10.0, 2.0, 0.7
# Of two of them, and of the first or last and the kernel's own, the ratio at most.
_APART = 0.8


@torch.inference_mode(False)
@torch.enable_grad()
def distill(
    model: FieldModel | str | Path,
    *,
    evaluations: int = 2,
    minutes: float | None = None,
    images: int | None = None,
    levels: Sequence[float] | None = None,
    guidance: float | None = None,
    batch: int | None = None,
    lr: float = 1e-3,
    precision: str = "float32",
    seed: int = 0,
    progress: bool = True,
) -> FieldModel:
    """Return a student of a model, whose samples take so many evaluations of its network.

        student = zoo.distill("gravity-fashion-mnist", evaluations=2, minutes=60)
        student.save_pretrained("garments-2step")

    The student is of the same network, kernel and prior, and is drawn from as any model is, by the
    same starts. It maps noise to data and has no field: `encode`, `decode`, likelihoods,
    `posterior`, `field` and `denoise` are its teacher's. Held-out starts choose which of its
    averaged weights are kept, the teacher's own among them; others say how near its samples then
    are to the teacher's, and `distilled.better` whether that is nearer than before.

    Args:
        model: the teacher, which is left as it is; or a reference to one. Where its samples are
            guided by default the student learns these.
        evaluations: 1 to 16.
        minutes: about so long, 10 by default; a third or so of it is the teacher's, whose
            trajectories are by `exp-abm3` in at least 18 steps. The result depends on the machine.
        images: so many starts to train on instead, repetitions counted, rounded up to whole
            batches: every 6 of them take a new trajectory, and 7 batches are drawn besides. On the
            CPU the same seed then gives the same student.
        levels: noise levels of the evaluations after the first, decreasing, as the network knows
            them and within the kernel's; by default 2 standard deviations of the data for two
            evaluations, and from 10 to 0.7 of them for more.
        guidance: by classes, of the teacher's samples; None for its default.
        batch: starts in a step; by default 512 rows, or 64 images, of large ones fewer, and no
            more than `images`.
        lr: peak learning rate.
        precision: of the student under autocast while it is trained, "float32" or "bf16".
        seed: of starts and batches.
        progress: print what was chosen, and show a bar where standard error is a terminal.

    Raises:
        ZooError: an option out of range; a training that diverges; a model without weights of its
            own (an exact field), with others' (a lifted model), that is a posterior, a student or
            a latent model, or draws samples given conditions.
        KeyboardInterrupt: after Ctrl-C; nothing is kept.
    """
    since = time.monotonic()
    check_flag("progress", progress)
    evaluations = check_integer("evaluations", evaluations, 1, MOST)
    if minutes is not None and images is not None:
        raise ZooError("minutes and images both say how long to train; leave one out")
    seconds = 60 * check_positive("minutes", MINUTES if minutes is None else minutes, 1e6)
    teacher = load(model) if isinstance(model, (str, Path)) else model
    check_teacher(teacher)
    size = _batch(teacher) if batch is None else check_integer("batch", batch, 1, 2**20)
    if images is not None:
        images = check_integer("images", images, 1, 10**12)
        size = size if batch is not None else min(size, images)
    steps = None if images is None else -(-images // size)
    own = _levels(teacher, evaluations, levels)
    solver = build_solver(SOLVER, levels=own)
    how = teacher._guidance(guidance, None, None, teacher.guidance)
    label = 0 if unwrapped(teacher.network).labels else None
    teacher._given(label, None, how, 1)  # refused where it cannot be guided so
    check_choice("precision", precision, ("float32", "bf16"))
    seed, lr, known = check_integer("seed", seed, 0), check_positive("lr", lr), teacher.describe()
    run = Run(
        teacher,
        cast(StudentSolver, solver),
        how,
        seed=seed,
        batch=size,
        lr=lr,
        bf16=precision == "bf16",
    )
    if progress:
        after = f", after the first at levels {', '.join(f'{x:g}' for x in own)}" if own else ""
        long = f"{seconds / 60:g} min" if steps is None else f"{steps * size:,} starts"
        print(
            f"zoo.distill: evaluations: {evaluations}{after}; {long} in batches of {size}, "
            f"lr {lr:g}, seed {seed}; {run.teacher.evaluations} of the teacher's network for each "
            "of its trajectories",
            file=sys.stderr,
        )
    with evaluation_mode(teacher):
        try:
            worth = run.train(steps, since + seconds, progress)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt("distillation stopped; nothing was kept") from error
    return _student(run, known, worth, how, solver)


def check_teacher(model: object) -> None:
    """Raise ZooError unless a student can be made of a model."""
    check_model(model)
    assert isinstance(model, FieldModel)
    if isinstance(model, PosteriorParts):
        raise ZooError("a posterior has no students: distill the model that was conditioned")
    model.needs_field("be distilled")
    if isinstance(model, LiftedModel):
        raise ZooError(
            "a lifted model asks a network that was trained under another kernel: distill the "
            "model that was lifted, under its own kernel"
        )
    if unwrapped(model.network).latent_decoder is not None:
        raise ZooError(
            "this model decodes its samples from latents, which no student learns yet: learn a "
            "solver for it instead, by `zoo tune --learn`"
        )
    if model.condition is not None:
        raise ZooError(
            f"this model draws samples given {model.condition}, which no student learns yet: "
            "learn a solver for it instead, by zoo.evaluation.learn.learn_solver"
        )
    network = unwrapped(model.network)
    if network.why_unnamed or not [*network.parameters()]:
        raise ZooError(
            "its network has no weights that a student could begin with: distill a trained model, "
            "such as zoo.fit returns"
        )


def usual_levels(model: FieldModel, evaluations: int) -> list[float]:
    """Return the levels of the evaluations after the first, decreasing, within the kernel's."""
    size, kernel = unwrapped(model.network).sigma_data or SIGMA_DATA, model.kernel
    count = evaluations - 1
    low, high = (float(kernel.level(t)) for t in (kernel.t_min, kernel.t_max))
    first = min((_ONE_LEVEL if count == 1 else _FIRST_LEVEL) * size, high / 2)
    last = min(_LAST_LEVEL * size, first / 2)
    logs = torch.linspace(math.log(first), math.log(last), count, dtype=torch.float64).tolist()
    # Of narrow kernels, and of data that are small next to their levels.
    apart = max(_APART, (low / high) ** (1 / (count + 2)))
    bounds = [(low * apart ** (i - evaluations), high * apart**i) for i in range(1, evaluations)]
    found = [min(max(math.exp(x), a), b) for x, (a, b) in zip(logs, bounds, strict=True)]
    return [float(f"{level:.4g}") for level in found]


def _levels(model: FieldModel, evaluations: int, levels: Sequence[float] | None) -> list[float]:
    """Return the levels of a student, checked, as numbers of Python."""
    if levels is None:
        return usual_levels(model, evaluations)
    if isinstance(levels, str | bytes | Set | Mapping) or not isinstance(levels, Iterable):
        raise ZooError(f"levels = {brief(levels)}; expected a list of decreasing noise levels")
    found = [check_positive("a level", level) for level in levels]
    if len(found) != evaluations - 1:
        raise ZooError(
            f"levels has {len(found)} numbers; expected {evaluations - 1}, one for each evaluation "
            "after the first"
        )
    return found


def _batch(model: FieldModel) -> int:
    if len(model.shape) == 1:
        return _ROWS
    return max(_LEAST_IMAGES, min(_IMAGES, _COORDINATES // model.kernel.dim))


def _student(run: Run, known: Config, worth: Worth, how: Guidance, solver: Solver) -> FieldModel:
    """Return the model of the best weights, with the mark of a student in its config."""
    teacher, own = run.model, solver.part
    assert own is not None, "it was built by name"
    error, standard_error, before = (x if math.isfinite(x) else None for x in worth)
    guide = teacher.guidance.guide if teacher.guidance and how.guide is not None else ""
    mark = Distilled(
        teacher=text(teacher.repository or public(teacher.name)),
        evaluations=run.solver.own_steps,
        levels=tuple(own.options["levels"]),
        trajectories=run.teacher.drawn,
        teacher_evaluations=run.teacher.evaluations,
        trained=run.step * run.batch,
        seed=run.seed,
        guidance=None if how.weight == 1.0 else how.weight,
        guide=text(guide),
        license=text(license_of(teacher.card)),
        error=error,
        standard_error=standard_error,
        error_before=before,
    )
    config = msgspec.structs.replace(
        known,
        solver=SolverPart.of(own, mark.evaluations),
        weights=Weights(),
        guidance=None,
        training=known.training.replace(outcome=None, evaluation=()),
        distilled=mark,
    )
    config = msgspec.structs.replace(config, requires=requirements(config))
    return FieldModel(teacher.kernel, teacher.prior, run.best, solver, teacher.shape, config=config)

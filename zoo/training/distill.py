"""Few-step students: `zoo.distill` trains a network together with the few steps that ask it.

The student begins with the teacher's weights and the solver `learned` in N steps. Its weights, and
the levels and coefficients of its steps, are trained together, by gradient through the whole walk,
to end where the teacher's ODE ends from the same start:

    loss = mean over samples of sqrt(|x - x*|^2 / d + c^2) - c

a pseudo-Huber distance of the student's sample x and the teacher's x*.
Sources: distillation by regression, Luhman & Luhman, arXiv:2101.02388; steps learned through the
walk, arXiv:2405.15506, 2502.17423; the distance, arXiv:2310.14189.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import msgspec
import torch

from zoo.config.distilled import MOST, Distilled, text
from zoo.config.model import Config, Weights
from zoo.config.part import SolverPart
from zoo.config.training import public
from zoo.errors import ZooError, check_flag
from zoo.folder.card_edit import license_of
from zoo.host.requirements import requirements
from zoo.interfaces.checks import check_choice, check_integer, check_positive
from zoo.models.lift import LiftedModel
from zoo.models.load import load
from zoo.models.model import FieldModel
from zoo.models.parts import check_model
from zoo.models.posterior import PosteriorParts
from zoo.sampling.few_steps import gradient_batch
from zoo.sampling.guidance import Guidance
from zoo.sampling.modes import evaluation_mode
from zoo.sampling.predict import unwrapped
from zoo.training.student import Run, Worth

MINUTES = 10.0


@torch.inference_mode(False)
@torch.enable_grad()
def distill(
    model: FieldModel | str | Path,
    *,
    evaluations: int = 2,
    minutes: float | None = None,
    images: int | None = None,
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
    `posterior`, `field` and `denoise` are its teacher's. Held-out starts choose at which levels it
    begins and which of its averaged weights are kept, the teacher's own among them; others say how
    near its samples then are to the teacher's, and `distilled.better` whether that is nearer than
    before.

    Args:
        model: the teacher, which is left as it is; or a reference to one. Where its samples are
            guided by default the student learns these.
        evaluations: 1 to 16.
        minutes: about so long, 10 by default; a quarter or so of it is the teacher's, whose
            samples are by `exp-abm3` in at least 18 steps. The result depends on the machine.
        images: so many starts to train on instead, repetitions counted, rounded up to whole
            batches: every 4 of them take a new sample of the teacher's (every 10, where the
            teacher has 20 evaluations and the student 2), and 7 batches are drawn besides. On the
            CPU the same seed then gives the same student.
        guidance: by classes, of the teacher's samples; None for its default.
        batch: starts in a step; by default 512 rows, or 64 images, fewer where they are large or
            evaluations many, and no more than `images`.
        lr: peak learning rate of Muon, of which 10 times is that of levels and coefficients.
        precision: of networks under autocast while it is trained, "float32" or "bf16".
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
    usual = gradient_batch(teacher.shape, evaluations)
    size = usual if batch is None else check_integer("batch", batch, 1, 2**20)
    if images is not None:
        images = check_integer("images", images, 1, 10**12)
        size = size if batch is not None else min(size, images)
    steps = None if images is None else -(-images // size)
    how = teacher._guidance(guidance, None, None, teacher.guidance)
    label = 0 if unwrapped(teacher.network).labels else None
    teacher._given(label, None, how, 1)  # refused where it cannot be guided so
    check_choice("precision", precision, ("float32", "bf16"))
    seed, lr, known = check_integer("seed", seed, 0), check_positive("lr", lr), teacher.describe()
    run = Run(
        teacher,
        evaluations,
        how,
        seed=seed,
        batch=size,
        lr=lr,
        bf16=precision == "bf16",
    )
    if progress:
        long = f"{seconds / 60:g} min" if steps is None else f"{steps * size:,} starts"
        print(
            f"zoo.distill: evaluations: {evaluations}; {long} in batches of {size}, "
            f"lr {lr:g}, seed {seed}; {run.teacher.evaluations} of the teacher's network for each "
            "of its samples",
            file=sys.stderr,
        )
    with evaluation_mode(teacher):
        try:
            worth = run.train(steps, since + seconds, progress)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt("distillation stopped; nothing was kept") from error
    return _student(run, known, worth, how)


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


def _student(run: Run, known: Config, worth: Worth, how: Guidance) -> FieldModel:
    """Return the model of the best weights, with the mark of a student in its config."""
    teacher, solver = run.model, run.best.solver
    own = solver.part
    assert own is not None, "it was built by name"
    error, standard_error, before = (x if math.isfinite(x) else None for x in worth)
    guide = teacher.guidance.guide if teacher.guidance and how.guide is not None else ""
    mark = Distilled(
        teacher=text(teacher.repository or public(teacher.name)),
        evaluations=run.evaluations,
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
    network = run.best.network
    return FieldModel(teacher.kernel, teacher.prior, network, solver, teacher.shape, config=config)

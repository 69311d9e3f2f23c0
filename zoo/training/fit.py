"""From an array to a model in one call: `zoo.fit`.

model = zoo.fit(frame)
model.sample_frame(1_000, seed=0)
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import torch

from zoo.config.model import unit_of
from zoo.config.part import Part
from zoo.config.recipe import from_dict
from zoo.errors import ZooError, brief, check_flag
from zoo.interfaces import SIGMA_DATA
from zoo.interfaces.checks import check_integer, check_positive
from zoo.models.model import FieldModel
from zoo.sampling.distributed import DistributedContext, parse_device
from zoo.training.choices import FIGURES, Asked, check_train, tables_of
from zoo.training.early_stop import Deadline, EarlyStop
from zoo.training.export import MOST, model_of
from zoo.training.fit_data import Prepared, prepare
from zoo.training.fit_samples import source_of
from zoo.training.plan import Plan, make_plan
from zoo.training.run import train_to_end
from zoo.training.start import start, trainer_of
from zoo.training.trainer import Trainer, seconds_per_step

# Figures of the held-out loss without a new least one, after which training ends.
_PATIENCE = 6
# What a step costs, in evaluations of its loss.
_BACKWARD = 3
# A run of so many minutes ends at the latest when this has passed.
_SLACK = 1.2


def fit(
    X: Any,
    *,
    kernel: str | dict[str, Any] = "pfgmpp",
    labels: Any = None,
    condition: Any = None,
    minutes: float | None = None,
    images: int | None = None,
    validation: Any = 0.1,
    seed: int = 0,
    progress: bool = True,
    network: str | dict[str, Any] | None = None,
    solver: str | dict[str, Any] | None = None,
    batch: int | None = None,
    lr: float | None = None,
    standardise: bool | None = None,
    train: dict[str, Any] | None = None,
    device: str = "cpu",
    **kernel_options: Any,
) -> FieldModel:
    """Fit a model to an array or a data frame, and return it as `zoo.load` does.

        model = zoo.fit(frame)                               # a pandas or polars DataFrame
        model = zoo.fit(x, kernel="gravity", minutes=2)      # an array or a tensor (n, d)
        model = zoo.fit(x, D=5, network={"use": "mlp", "width": 256})

    Columns are standardised: to mean 0 and one deviation, or by their quantiles where they have
    heavy tails; `sample`, `log_prob` and the other methods speak data units. Whole numbers in
    rows are dequantised: the density at a whole number is its probability, and `sample_frame`
    rounds. Levels of noise reach from far below the data's spread to ten times the farthest of
    them. Part of the data is held out: when its loss stops falling training ends, and the
    averaged weights with the least one are kept. Everything chosen is printed in one line on
    standard error.

    Args:
        X: rows (n, d), series (n, C, L), or images (n, C, H, W) in [-1, 1] or of bytes: an array, a
            tensor, lists, or a DataFrame whose columns hold numbers, whose names and types
            `sample_frame` gives back.
        kernel: its name, or a table {"use": name, ...} as in a recipe.
        labels: classes (n,), whole numbers from 0 or text, for sample(labels=...).
        condition: what each sample is to be drawn given, for sample(condition=...): vectors (n, k),
            a DataFrame, images (n, C, H, W) or series (n, C, L), standardised for the network; or a
            rule of images X, "downscale:2" (means of 2x2 pixels). Part of them are hidden in
            training, so that `guidance` works: train={"condition_dropout": 0.1}.
        minutes: about so long to train.
        images: so many rows or images to train on, repetitions counted. Neither: enough for a
            small table in less than a minute.
        validation: fraction of the data to hold out, at most 2,048 of them, 0 for none; or
            held-out data, as X, or (X, labels), or (X, labels, condition), of which so many are
            measured, evenly spread.
        seed: of the split, the weights, the batches and the noise.
        progress: print the choices, and show a bar where standard error is a terminal.
        network: its name, or a table of name and options; by default a U-Net for images and
            series, an MLP for rows.
        solver: its name, or a table of name, steps and options.
        batch: rows or images per step.
        lr: peak learning rate.
        standardise: whether columns, or channels, are; None for rows and not for images.
        train: other keys of a recipe's [train], such as {"ema_halflife": 10_000}; not those that
            are arguments here, nor those that write into a run's folder.
        device: "cpu", "cuda", ...
        kernel_options: every other keyword is an option of the kernel, such as D = 5.

    Raises:
        ZooError: data that cannot be used (missing, infinite or constant columns, text, fewer than
            8 rows), or an option that a part refuses.
        KeyboardInterrupt: after Ctrl-C; nothing is kept.
    """
    since = time.monotonic()
    check_flag("progress", progress)
    if standardise is not None:
        check_flag("standardise", standardise)
    if minutes is not None and images is not None:
        raise ZooError("minutes and images both say how long to train; leave one out")
    seed = check_integer("seed", seed, 0)
    seconds = None if minutes is None else 60 * check_positive("minutes", minutes, 1e6)
    if images is not None:
        images = check_integer("images", images, 1)
    if batch is not None:
        batch = check_integer("batch", batch, 1)
    if lr is not None:
        lr = check_positive("lr", lr)
    source, more = source_of(condition), check_train(train)
    asked = Asked(
        kernel, kernel_options, network, solver, batch, lr, images, more, seed, condition=source
    )
    size = network.get("sigma_data", SIGMA_DATA) if isinstance(network, dict) else SIGMA_DATA
    size = check_positive("network.sigma_data", size)
    ready = prepare(X, labels, condition, validation, seed, standardise=standardise, size=size)
    context = DistributedContext(device=parse_device(device))
    devices = [context.device] if context.device.type == "cuda" else []
    end: float | None = None
    with torch.random.fork_rng(devices), TemporaryDirectory() as folder:
        plan = _plan(ready, asked)
        if seconds is not None:
            plan = _timed(plan, ready, asked, since + seconds, context)
            end = since + _SLACK * seconds
        if progress:
            print(f"zoo.fit: {_chosen(plan, ready, asked)}", file=sys.stderr)
        trainer = start(plan, Path(folder), context=context)
        stops = _early_stop(plan, ready)
        trainer.callbacks = [*stops, *([] if end is None else [Deadline(end)])]
        try:
            train_to_end(trainer, progress=progress)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(f"{error}; nothing was kept") from error
        for stop in stops:
            stop.restore(trainer)
        if progress and stops:
            print(f"zoo.fit: {_ended(trainer, plan)}", file=sys.stderr)
        return _finished(trainer, ready)


def _plan(ready: Prepared, asked: Asked) -> Plan:
    """Return the plan of a run on the data, what was not asked for chosen."""
    data = ready.data
    standardised = data.standardise is not None or bool(ready.standardise)
    tables = tables_of(asked, data, ready.radius, standardised)
    return make_plan(from_dict(tables, "zoo.fit"), data)


def _timed(
    plan: Plan, ready: Prepared, asked: Asked, end: float, context: DistributedContext
) -> Plan:
    """Return the plan with as many steps as there is time for until `end`, by some that are tried.

    The weights of `plan` are changed.
    """
    with TemporaryDirectory() as folder:
        each = seconds_per_step(trainer_of(plan, Path(folder), context))
    batch = plan.recipe.train.batch
    held_out = 0 if ready.held_out is None else min(len(ready.held_out), MOST)
    figures = FIGURES * held_out / (_BACKWARD * batch)
    steps = (end - time.monotonic()) / each - figures
    return _plan(ready, replace(asked, batch=batch, images=batch * max(1, int(steps))))


def _early_stop(plan: Plan, ready: Prepared) -> list[EarlyStop]:
    """Return what ends the run by the held-out loss, if any data are held out."""
    if ready.held_out is None:
        return []
    held_out, given = ready.held_out, ready.held_out.given
    if given is not None and plan.data.condition is not None:
        given = given.standardised_as(plan.data.condition.standardise)
    held_out = replace(held_out, standardise=plan.data.standardise, given=given)
    every = max(1, plan.recipe.train.images // FIGURES)
    return [EarlyStop(held_out, every, patience=_PATIENCE)]


def _chosen(plan: Plan, ready: Prepared, asked: Asked) -> str:
    """Return what was chosen, in one line."""
    train, recipe, data, kernel = plan.recipe.train, plan.recipe, plan.data, plan.kernel
    unit = unit_of(data.shape).replace("points", "rows")
    low, high = (float(kernel.level(t)) for t in (kernel.t_min, kernel.t_max))
    tail = " by the tail of the data" if asked.degrees else ""
    whole = 0 if ready.table is None else int(ready.table.whole.sum())
    some = f", {MOST:,} of them measured" if ready.held > MOST else ""
    parts = [
        f"{len(data):,} {unit} of shape {data.shape}",
        f"{ready.held:,} held out{some}, and training ends when their loss stops falling"
        if ready.held
        else "",
        f"given {data.condition}" if data.condition else "",
        "standardised" if data.standardise else "not standardised",
        f"{_columns(ready.heavy)} with heavy tails" if ready.heavy else "",
        f"{_columns(whole)} of whole numbers" if whole else "",
        f"{_in_words(recipe.kernel)}{tail}, noise from {low:.3g} to {high:.3g}",
        f"{_in_words(recipe.network)}, {plan.parameters:,} parameters",
        f"{train.images:,} {unit} in batches of {train.batch}, lr {train.lr:g}, seed {train.seed}",
        _in_words(recipe.solver),
    ]
    return "; ".join(filter(None, parts))


def _columns(count: int) -> str:
    return f"{count} column{'s' * (count != 1)}"


def _ended(trainer: Trainer, plan: Plan) -> str:
    """Return when a run with held-out data ended, and which weights are kept."""
    train = plan.recipe.train
    unit = unit_of(plan.data.shape).replace("points", "rows")
    seen, best = (step * train.batch for step in (trainer.step, trainer.best_step))
    ended = f"trained on {seen:,} {unit}"
    if trainer.best_loss is None:
        return f"{ended}; the held-out loss is not finite, and the last weights are kept"
    return f"{ended}; kept are the weights after {best:,}, held-out loss {trainer.best_loss:.4g}"


def _in_words(part: Part) -> str:
    """Return a part in one line: "mlp width = 128 blocks = 3"."""
    options = {key: value for key, value in part.encode().items() if key != "use"}
    words = [f"{key} = {brief(value, 40)}" for key, value in options.items()]
    return " ".join([part.use, *words])


def _finished(trainer: Trainer, ready: Prepared) -> FieldModel:
    """Return the model of the averaged weights, with the columns of the table in its config."""
    model = model_of(trainer)
    assert model.config is not None
    if ready.table is not None and ready.table.kept:
        data = msgspec.structs.replace(
            model.config.data, columns=ready.table.kept, frame=ready.table.frame
        )
        model.config = msgspec.structs.replace(model.config, data=data)
    return model

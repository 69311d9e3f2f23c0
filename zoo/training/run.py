"""From a recipe to a trained model: `zoo.train`, and what `zoo train` shares with it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from zoo.config.model import unit_of
from zoo.config.recipe import ARRAY, Recipe, from_dict
from zoo.data import Images
from zoo.data.condition import of_array
from zoo.data.npz import from_arrays
from zoo.data.size import warn_of_range
from zoo.errors import ZooError, brief, check_flag, one_line
from zoo.folder.run import MODEL
from zoo.models.load import load
from zoo.models.model import FieldModel
from zoo.sampling.arguments import refuse_masked
from zoo.sampling.distributed import DistributedContext, connect
from zoo.sampling.progress import bar
from zoo.training.export import export
from zoo.training.lock import locked
from zoo.training.plan import Plan, make_plan
from zoo.training.recipes import load_recipe
from zoo.training.start import start
from zoo.training.trainer import Trainer

Arrays = ArrayLike | Tensor


def train(
    recipe: str | Path | dict[str, Any] | Recipe,
    *,
    folder: str | Path | None = None,
    data: str | Arrays | tuple[Arrays | None, ...] | None = None,
    resume: bool = False,
    stop: bool = False,
    progress: bool = True,
    device: str = "cpu",
) -> FieldModel:
    """Train the model of a recipe and return it, as `zoo.load` returns what `zoo train` writes.

        model = zoo.train("gravity-digits", folder="runs/digits")
        model = zoo.train(recipe, data=(images, labels))

    Args:
        recipe: name of a bundled recipe, path of a .toml file or of a model's config.json, the
            tables of a recipe as a dict, or a Recipe.
        folder: of the run, which gets checkpoint.pt, log.jsonl and, at the end, model/. None: a
            temporary folder, which is gone when the model is returned.
        data: trains on this data set instead of the recipe's: a reference such as
            "fashion-mnist" or "npz:PATH"; an array or tensor, vectors (N, d) or images
            (N, H, W), (N, C, H, W) or (N, H, W, C), whole numbers in [0, 255] or real ones in
            [-1, 1]; or (array, labels), labels (N,) class numbers from 0; or (array, labels or
            None, condition), what each sample is to be drawn given, (N, k) or (N, C, H, W). A dict
            may then leave out [data].
        resume: go on from the last checkpoint in `folder`, exactly.
        stop: with `resume`: make no further step, and return the model of that checkpoint.
        progress: show a progress bar, where standard error is a terminal.
        device: "cpu", "cuda", "cuda:1", ...

    Raises:
        ZooError: the recipe, a part, the data or the folder is not there or does not fit.
        KeyboardInterrupt: after Ctrl-C; the step under way is finished, and saved in `folder`.
            Without one nothing is kept.
    """
    for name, flag in {"resume": resume, "stop": stop, "progress": progress}.items():
        check_flag(name, flag)
    if folder is None and resume:
        raise ZooError("resume = True goes on with the run in a folder; name it with folder=")
    if stop and not resume:
        raise ZooError("stop = True makes a model of a checkpoint; it goes with resume = True")
    with connect(device) as context, context.errors_from_main():
        if folder is None and context.size > 1:
            raise ZooError("processes that train together share a folder; name it with folder=")
        plan = context.main_process_first(
            lambda: make_plan(recipe_of(recipe, data), data_of(data), processes=context.size)
        )
        with TemporaryDirectory() if folder is None else nullcontext(folder) as place:
            try:
                trainer = run_plan(
                    plan, Path(place), context, resume=resume, stop=stop, progress=progress
                )
            except KeyboardInterrupt as stop:
                if folder is not None:
                    raise
                raise KeyboardInterrupt(
                    f"{str(stop) or 'stopped'}; nothing was kept: name a folder with folder= to go "
                    "on with a run"
                ) from stop
            if context.is_main:
                export(trainer)
            model = context.main_process_first(
                lambda: load(Path(place) / MODEL, device=context.device)
            )
            model.name = plan.recipe.name
            return model


def recipe_of(recipe: str | Path | dict[str, Any] | Recipe, data: Any = None) -> Recipe:
    """Return the recipe of a name, a path or a dict, or the Recipe itself."""
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, str | Path):
        return load_recipe(recipe)
    if not isinstance(recipe, dict):
        raise ZooError(f"recipe = {brief(recipe)}; expected a name, a path, a dict or a Recipe")
    if data is not None:
        recipe = {**recipe, "data": {"use": ARRAY, **recipe.get("data", {})}}
    return from_dict(recipe, "recipe")


def data_of(data: str | Arrays | tuple[Arrays | None, ...] | None) -> str | Images | None:
    """Return an array, or (array, labels, condition), as a data set; others as they are.

    Raises:
        ZooError: a tuple of another length, rows of different lengths, or as in `from_arrays`.
    """
    if data is None or isinstance(data, str):
        return data
    given = data if isinstance(data, tuple) else (data, None)
    if len(given) not in (2, 3) or given[0] is None:
        items = "1 item" if len(given) == 1 else f"{len(given)} items"
        raise ZooError(
            f"data is a tuple of {items}; expected an array or (array, labels) or "
            "(array, labels, condition)"
        )
    x, labels, condition = (
        None if each is None else _numpy(name, each)
        for name, each in zip(("data", "labels", "condition"), (*given, None)[:3], strict=True)
    )
    assert x is not None
    found = from_arrays(x, labels, name=ARRAY)
    warn_of_range(found, "data")
    if condition is None:
        return found
    known = of_array(condition, len(found), source=ARRAY, where="data")
    return replace(found, given=known)


def _numpy(name: str, array: Arrays) -> np.ndarray[Any, Any]:
    refuse_masked(name, array)
    try:
        return array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ZooError(
            f"{name} cannot be made an array ({one_line(error)}); expected numbers in rows of one "
            "length"
        ) from error


def run_plan(
    plan: Plan,
    folder: Path,
    context: DistributedContext,
    *,
    resume: bool = False,
    stop: bool = False,
    progress: bool = True,
) -> Trainer:
    """Train to the end of the budget in `folder`, or with `stop` no further; return the trainer.

    Raises:
        ZooError: as `start` and `Trainer.run`; another process trains there; `stop` before the
            first step.
        KeyboardInterrupt: after Ctrl-C; its message says at which step.
    """
    with ExitStack() as held:
        context.main_process_first(lambda: held.enter_context(_run_folder(folder, resume, context)))
        trainer = start(plan, folder, resume=resume, context=context)
        if not stop:
            train_to_end(trainer, progress=progress)
        elif not trainer.step:
            raise ZooError(f"{folder} holds a run that has made no step; there is no model of it")
    return trainer


@contextmanager
def _run_folder(folder: Path, resume: bool, context: DistributedContext) -> Iterator[bool]:
    """Make the folder of a new run, and hold its lock in the main process."""
    if not resume:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ZooError(f"cannot write into {folder}: {error.strerror}") from error
    with locked(folder) if context.is_main and folder.is_dir() else nullcontext():
        yield True


def train_to_end(trainer: Trainer, *, progress: bool) -> None:
    """Train to the end of the budget, with a bar in the main process."""
    batch = trainer.recipe.train.batch
    with bar(
        total=trainer.steps * batch,
        initial=trainer.step * batch,
        unit=f" {unit_of(trainer.data.shape)}",
        unit_scale=True,
        shown=progress and trainer.context.is_main,
    ) as shown:

        def show(step: int, loss: float) -> None:
            shown.set_postfix(loss=f"{loss:.3f}", skipped=trainer.skipped, refresh=False)
            shown.update(step * batch - shown.n)

        with _interrupt_after_step(trainer):
            trainer.run(show)


@contextmanager
def _interrupt_after_step(trainer: Trainer) -> Iterator[None]:
    """Let one Ctrl-C end the training after the step under way, and a second one at once.

    Not where several processes train together, which would stop at different steps, nor outside
    Python's main thread, where signals do not arrive.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if trainer.context.size > 1 or not in_main_thread:
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        trainer.stopping = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

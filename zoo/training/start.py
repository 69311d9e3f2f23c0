"""The beginning of a run, in a folder of its own or at its last checkpoint.

Before the first step the network fits itself to data, and takes the weights it starts from.
"""

from __future__ import annotations

from pathlib import Path

import torch

from zoo.data import Images
from zoo.errors import ZooError, did_you_mean
from zoo.files import refuse_link
from zoo.folder.atomic import check_new
from zoo.folder.read import CONFIG
from zoo.folder.run import CHECKPOINT, MODEL
from zoo.interfaces import Network
from zoo.models.load import load
from zoo.sampling.distributed import SINGLE_PROCESS, DistributedContext
from zoo.training import log, power_ema
from zoo.training.checkpoint import read, remove_leftovers
from zoo.training.export import BEST, SAMPLES, SampleGrids, Validation
from zoo.training.plan import Plan
from zoo.training.trainer import Callback, Trainer

# Folders in that of a run.
_INSIDE = (MODEL, BEST, SAMPLES, power_ema.FOLDER, log.BOARD)
# Enough for what a network fits by itself, such as the principal components of images.
_MOST = 100_000


def start(
    plan: Plan,
    folder: Path,
    *,
    resume: bool = False,
    context: DistributedContext = SINGLE_PROCESS,
) -> Trainer:
    """Return the trainer in `folder`, at its first step or, resumed, at its last checkpoint.

    A run that was stopped before its first checkpoint is resumed at its first step. Where several
    processes train together, all of them have to call this.

    Raises:
        ZooError: a run is there already and `resume` is false, none is there and it is true, it is
            of another recipe, the folder cannot be written, or what is to be written there is
            something else already.
    """
    found = context.main_process_first(lambda: _open(plan, folder, resume, context))
    trainer = trainer_of(plan, folder, context)
    if found:
        trainer.resume()
    if plan.recipe.train.tensorboard and context.is_main:
        trainer.board = log.TensorBoard(folder, trainer.step)
    if not found:
        if context.is_main:
            log.cut(folder, 0)
        trainer.save()  # so that a disk that refuses says so now
    return trainer


def _open(plan: Plan, folder: Path, resume: bool, context: DistributedContext) -> bool:
    """Make the folder, and the network ready for its first step; return whether a run is there."""
    if resume and not folder.is_dir():
        raise ZooError(f"there is no run in {folder} to go on with; begin one without --resume")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZooError(f"cannot write into {folder}: {error.strerror}") from error
    for name in _INSIDE:
        refuse_link(folder / name, folder)
    for name in (MODEL, BEST) if plan.held_out is not None else (MODEL,):
        check_new(folder / name)
    if context.is_main:
        remove_leftovers(folder / CHECKPOINT)
    found = (folder / CHECKPOINT).exists()
    if found and not resume and context.is_main:
        at = read(folder / CHECKPOINT)["step"]
        raise ZooError(f"{folder} holds a run at step {at}; go on with --resume or name another")
    if not found and (folder / CONFIG).exists():
        raise ZooError(f"{folder} is the folder of a model; name another for the run")
    if not found:
        _initialise(plan.network, plan.data, plan.recipe.train.start)
    return found


def trainer_of(plan: Plan, folder: Path, context: DistributedContext = SINGLE_PROCESS) -> Trainer:
    """Return the trainer at its first step; nothing is written before it saves or runs."""
    train = plan.recipe.train
    callbacks: list[Callback] = []
    if plan.held_out is not None and train.validate_every:
        callbacks.append(Validation(plan.held_out, train.validate_every))
    if train.samples_every:
        callbacks.append(SampleGrids(train.samples_every))
    return Trainer(plan, folder, context, callbacks)


def _initialise(network: Network, data: Images, start: str | None) -> None:
    """Fit the network to (evenly spread) data, and copy the weights of the model `start` into it.

    Raises:
        ZooError: as in `copy_weights`, or the model to start from is not to be had.
    """
    if network.learns_from_data:
        chosen = torch.linspace(0, len(data) - 1, min(len(data), _MOST)).long()
        labels = None if data.labels is None else data.labels[chosen]
        network.fit(data.batch(chosen), labels)
    if start is not None:
        copy_weights(load(start).network, network, start)


@torch.no_grad()
def copy_weights(source: Network, network: Network, name: str) -> None:
    """Copy the parameters of one network into another that has them all; buffers stay.

    What `network` has beyond them keeps its first values: a conditional model starts from an
    unconditional one.

    Raises:
        ZooError: a parameter is not there, or has another shape; `name` is the source's.
    """
    there = dict(network.named_parameters())
    for key, value in source.named_parameters():
        if key not in there:
            raise ZooError(
                f"train.start = {name}: its parameter {key!r} is not one of the network's; "
                f"{did_you_mean(key, there)}"
            )
        if there[key].shape != value.shape:
            raise ZooError(
                f"train.start = {name}: its parameter {key!r} has shape {tuple(value.shape)}, the "
                f"network's {tuple(there[key].shape)}; the networks need the same options"
            )
        there[key].copy_(value)

"""From a recipe to a trained model folder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from zoo.config.recipe import DataPlan, Recipe, TrainPlan
from zoo.data import Images, load
from zoo.data.augment import LABELS
from zoo.errors import ZooError
from zoo.folder.atomic import check_new
from zoo.host.build import kernel_of, network_of, prior_of, solver_of
from zoo.interfaces import FieldKernel, Network
from zoo.train import progress
from zoo.train.batch import step_seed
from zoo.train.board import Board
from zoo.train.checkpoint import read
from zoo.train.export import MODEL
from zoo.train.loop import CHECKPOINT, Trainer
from zoo.train.prepare import prepare
from zoo.train.samples import SampleGrids
from zoo.train.validation import BEST, Validation
from zoo.train.watch import Watcher
from zoo.world import ALONE, World


@dataclass(frozen=True)
class Plan:
    """What a recipe comes to: data and parts, built and checked, nothing trained yet."""

    recipe: Recipe
    data: Images
    held_out: Images | None
    kernel: FieldKernel
    network: Network

    @property
    def parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.numel() for p in self.network.parameters())


def make_plan(recipe: Recipe, data: str | None = None, *, processes: int = 1) -> Plan:
    """Build everything that `recipe` names, so that a mistake shows before the first step.

    Args:
        recipe: the recipe.
        data: reference of a data set to use instead of the recipe's; becomes part of the plan's.
        processes: how many train together.

    Raises:
        ZooError: a part, an option or the data is not there or does not fit.
    """
    if data is not None:
        used = msgspec.structs.replace(recipe.data, use=data)
        recipe = msgspec.structs.replace(recipe, data=used)
    _check_shares(recipe.train, processes)
    images = load(recipe.data.use, size=recipe.data.size)
    held_out = _held_out(recipe, images) if recipe.train.validate_every else None
    kernel = kernel_of(recipe.kernel, math.prod(images.shape))
    prior_of(recipe.prior, kernel)
    solver_of(recipe.solver)
    torch.manual_seed(step_seed(recipe.train.seed, -1))
    network = network_of(recipe.network, images.shape, kernel)
    if network.labels and network.labels != images.classes:
        raise ZooError(
            f"network.labels = {network.labels}, but {images.name} has {images.classes} classes"
        )
    if network.labels and held_out is not None and held_out.classes > images.classes:
        raise ZooError(
            f"train.validate_every needs a test split like the training data: {held_out.classes} "
            f"classes are more than {images.classes}"
        )
    _check_augmentation(recipe.data, images, network)
    _check_reference(recipe, images, network)
    return Plan(recipe, images, held_out, kernel, network)


def _held_out(recipe: Recipe, images: Images) -> Images:
    """Return the test split; raises ZooError where there is none or it does not fit."""
    try:
        held_out = load(recipe.data.use, split="test", size=recipe.data.size)
    except ZooError as error:
        raise ZooError(f"train.validate_every needs a test split: {error}") from error
    if held_out.shape != images.shape:
        raise ZooError(
            f"train.validate_every needs a test split like the training data: {held_out.shape} "
            f"is not {images.shape}"
        )
    return held_out


def _watchers(plan: Plan) -> list[Watcher]:
    every = plan.recipe.train
    watchers: list[Watcher] = []
    if plan.held_out is not None and every.validate_every:
        watchers.append(Validation(plan.held_out, every.validate_every))
    if every.samples_every:
        watchers.append(SampleGrids(every.samples_every))
    return watchers


def _check_augmentation(plan: DataPlan, images: Images, network: Network) -> None:
    """Raise ZooError where images or a network that is told would be needed and are not there."""
    if (plan.flip or plan.augment) and len(images.shape) != 3:
        asked = "flip = true" if plan.flip else f"augment = {plan.augment}"
        raise ZooError(f"data.{asked} takes images, not shape {images.shape}")
    if plan.augment and network.augment != LABELS:
        raise ZooError(
            f"data.augment = {plan.augment} needs a network that is told how images were changed, "
            f"such as ddpmpp with augment = {LABELS}; network.augment is {network.augment}"
        )


def _check_reference(recipe: Recipe, images: Images, network: Network) -> None:
    """Raise ZooError for a reference batch that is too small, too large or not one law's."""
    count, batch = recipe.train.reference_batch, recipe.train.batch
    if count is None:
        return
    if not batch <= count <= len(images):
        raise ZooError(
            f"train.reference_batch = {count}; expected at least train.batch = {batch} and at most "
            f"the {len(images)} samples of {images.name}"
        )
    if network.labels or recipe.data.augment:
        what = "network.labels" if network.labels else "data.augment"
        raise ZooError(
            f"train.reference_batch averages over all images alike, which {what} forbids; "
            "leave one of them out"
        )


def _check_shares(plan: TrainPlan, processes: int) -> None:
    """Raise ZooError unless the batch splits evenly over processes and accumulated parts."""
    parts = processes * plan.accumulate
    if plan.batch % parts:
        raise ZooError(
            f"train.batch = {plan.batch} does not split evenly over {processes} processes with "
            f"train.accumulate = {plan.accumulate}; take a multiple of {parts}"
        )


def start(plan: Plan, folder: Path, *, resume: bool = False, world: World = ALONE) -> Trainer:
    """Return the trainer in `folder`, at its first step or, resumed, at its last checkpoint.

    A run that was stopped before its first checkpoint is resumed at its first step.

    Raises:
        ZooError: a run is there already and `resume` is false, none is there and it is true, it is
            of another recipe, the folder cannot be written, or what is to be written there is
            something else already.
    """
    if resume and not folder.is_dir():
        raise ZooError(f"there is no run in {folder} to go on with; begin one without --resume")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZooError(f"cannot write into {folder}: {error.strerror}") from error
    for name in (MODEL, BEST) if plan.held_out is not None else (MODEL,):
        check_new(folder / name)
    there = (folder / CHECKPOINT).exists()
    if there and not resume and world.first:
        at = read(folder / CHECKPOINT)["step"]
        raise ZooError(f"{folder} holds a run at step {at}; go on with --resume or name another")
    if not there:
        prepare(plan)
    trainer = trainer_of(plan, folder, world)
    if there:
        trainer.resume()
    if plan.recipe.train.tensorboard and world.first:
        trainer.board = Board(folder, trainer.step)
    if not there:
        if world.first:
            progress.cut(folder, 0)
        trainer.save()  # so that a disk that refuses says so now
    return trainer


def trainer_of(plan: Plan, folder: Path, world: World = ALONE) -> Trainer:
    """Return the trainer at its first step; nothing is written before it saves or runs."""
    parts = (plan.recipe, plan.data, plan.kernel, plan.network)
    return Trainer(*parts, folder, world, _watchers(plan))

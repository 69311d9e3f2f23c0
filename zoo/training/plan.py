"""What a recipe comes to: data and parts, built and checked before the first step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import msgspec
import torch

from zoo.config.recipe import DataPlan, Recipe, TrainPlan
from zoo.data import Images, load
from zoo.data.augment import LABELS
from zoo.data.size import standardise, warn_of_size
from zoo.errors import ZooError
from zoo.host.build import kernel_of, network_of, prior_of, solver_of
from zoo.interfaces import FieldKernel, Network
from zoo.sampling.rng import step_seed


@dataclass(frozen=True)
class Plan:
    """The data and the parts of a recipe, built and checked, nothing trained yet."""

    recipe: Recipe
    data: Images
    held_out: Images | None
    kernel: FieldKernel
    network: Network

    @property
    def parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.numel() for p in self.network.parameters())


def make_plan(recipe: Recipe, data: str | Images | None = None, *, processes: int = 1) -> Plan:
    """Build everything that `recipe` names, so that a mistake shows before the first step.

    Warns of data whose size is not that which the network expects.

    Args:
        recipe: the recipe.
        data: the data set to use instead of the recipe's, or a reference of it; the reference, or
            the data set's name, becomes part of the plan's recipe.
        processes: how many train together.

    Raises:
        ZooError: a part, an option or the data is not there or does not fit.
    """
    if data is not None:
        name = data.name if isinstance(data, Images) else data
        used = msgspec.structs.replace(recipe.data, use=name)
        recipe = msgspec.structs.replace(recipe, data=used)
    _check_processes(recipe.train, processes)
    images = _images(recipe, data)
    held_out = _held_out(recipe, data, images) if recipe.train.validate_every else None
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
    size = network.sigma_data or 1.0
    if recipe.data.standardise:
        known = images.standardise or standardise(images, size)
        images = replace(images, standardise=known)
        held_out = held_out and replace(held_out, standardise=images.standardise)
    else:
        warn_of_size(images, size)
    return Plan(recipe, images, held_out, kernel, network)


def _images(recipe: Recipe, data: str | Images | None) -> Images:
    """Return the training data."""
    if not isinstance(data, Images):
        return load(recipe.data.use, size=recipe.data.size)
    if recipe.data.size is not None:
        raise ZooError(
            f"data.size = {recipe.data.size} is for data sets by reference; scale the array itself"
        )
    return data


def _held_out(recipe: Recipe, data: str | Images | None, images: Images) -> Images:
    """Return the test split; raises ZooError where there is none or it does not fit."""
    if isinstance(data, Images):
        raise ZooError(
            "train.validate_every needs a test split, which an array has not; leave it out, or "
            "write an .npz file with x and x_test"
        )
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


def _check_augmentation(plan: DataPlan, images: Images, network: Network) -> None:
    """Raise ZooError unless flips have images, and augmentation a network that is conditioned."""
    if (plan.flip or plan.augment) and len(images.shape) != 3:
        asked = "flip = true" if plan.flip else f"augment = {plan.augment}"
        raise ZooError(f"data.{asked} takes images, not shape {images.shape}")
    if plan.augment and network.augment != LABELS:
        raise ZooError(
            f"data.augment = {plan.augment} needs a network conditioned on the changes, such as "
            f"ddpmpp with augment = {LABELS}; network.augment is {network.augment}"
        )


def _check_reference(recipe: Recipe, images: Images, network: Network) -> None:
    """Raise ZooError for a reference batch of an impossible size or of several distributions."""
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


def _check_processes(plan: TrainPlan, processes: int) -> None:
    """Raise ZooError where so many processes cannot train as the recipe says."""
    parts = processes * plan.accumulate
    if plan.batch % parts:
        raise ZooError(
            f"train.batch = {plan.batch} does not split evenly over {processes} processes with "
            f"train.accumulate = {plan.accumulate}; take a multiple of {parts}"
        )
    if plan.parallel == "fsdp" and (plan.compile or plan.optimizer == "muon"):
        what = "train.compile = true" if plan.compile else 'train.optimizer = "muon"'
        raise ZooError(
            f'train.parallel = "fsdp" does not go with {what}: both need whole tensors; leave one '
            "of them out"
        )

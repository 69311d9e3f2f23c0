"""What a recipe comes to: data and parts, built and checked before the first step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import msgspec
import torch

from zoo.config.part import Part
from zoo.config.recipe import DataPlan, Recipe, TrainPlan
from zoo.data import Images, load
from zoo.data.augment import LABELS
from zoo.data.condition import by_rule, fitted, is_rule
from zoo.data.size import standardise, warn_of_size
from zoo.errors import ZooError, brief
from zoo.host.build import kernel_of, network_of, prior_of, solver_of
from zoo.interfaces import FieldKernel, Network
from zoo.sampling.rng import step_seed
from zoo.training.tail import chosen


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
    if images.given is not None:
        recipe, images = _conditioned(recipe, images)
    held_out = _held_out(recipe, data, images) if recipe.train.validate_every else None
    field = chosen(recipe.kernel, images, standardised=recipe.data.standardise)
    recipe = msgspec.structs.replace(recipe, kernel=field)
    kernel = kernel_of(recipe.kernel, math.prod(images.shape))
    prior_of(recipe.prior, kernel)
    solver_of(recipe.solver)
    torch.manual_seed(step_seed(recipe.train.seed, -1))
    network = network_of(recipe.network, images.shape, kernel)
    if network.latent_decoder is not None:
        raise ZooError(
            "the network has a decoder, and only networks without one are trained: leave out "
            "the options of the decoder, such as autoencoder"
        )
    if network.labels and network.labels != images.classes:
        raise ZooError(
            f"network.labels = {network.labels}, but {images.name} has {images.classes} classes"
        )
    if network.labels and held_out is not None and held_out.classes > images.classes:
        raise ZooError(
            f"train.validate_every needs a test split like the training data: {held_out.classes} "
            f"classes are more than {images.classes}"
        )
    _check_condition(images, network)
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
        return load(recipe.data.use, size=recipe.data.size, condition=recipe.data.condition)
    if recipe.data.size is not None:
        raise ZooError(
            f"data.size = {recipe.data.size} is for data sets by reference; scale the array itself"
        )
    source = recipe.data.condition
    if source is None or data.given is not None:
        return data
    if not is_rule(source):
        raise ZooError(
            f"data.condition = {brief(source)} is an array of an npz: file; with an array of data "
            "give its conditions too, as data=(x, labels, condition)"
        )
    return replace(data, given=by_rule(source, data.shape))


def _conditioned(recipe: Recipe, images: Images) -> tuple[Recipe, Images]:
    """Return the recipe whose network takes the conditions, and data with standardised ones."""
    given = images.given
    assert given is not None
    if given.values is not None and (recipe.data.flip or recipe.data.augment):
        raise ZooError(
            "data.flip and data.augment change images and not their conditions; leave them out"
        )
    if given.known.standardise is None:
        plain = replace(images, standardise=None)
        given = fitted(given, len(images), plain.batch)
    part = recipe.network
    network = Part(part.use, {"condition": [*given.known.shape], **part.options})
    return msgspec.structs.replace(recipe, network=network), replace(images, given=given)


def _check_condition(images: Images, network: Network) -> None:
    """Raise ZooError unless the network takes the conditions that the data have."""
    known, taken = images.condition, network.condition
    there = None if known is None else known.shape
    if taken is not None and known is None:
        raise ZooError(
            f"network.condition = {[*taken]}, but {images.name} has no conditions; say which with "
            "data.condition"
        )
    if taken != there:
        of_network = "takes none" if taken is None else f"takes {taken}"
        raise ZooError(
            f"the network {of_network}, the conditions of {images.name} have shape {there}; leave "
            "network.condition out"
        )


def _held_out(recipe: Recipe, data: str | Images | None, images: Images) -> Images:
    """Return the test split; raises ZooError where there is none or it does not fit."""
    if isinstance(data, Images):
        raise ZooError(
            "train.validate_every needs a test split, which an array has not; leave it out, or "
            "write an .npz file with x and x_test"
        )
    try:
        plan = recipe.data
        held_out = load(plan.use, split="test", size=plan.size, condition=plan.condition)
    except ZooError as error:
        raise ZooError(f"train.validate_every needs a test split: {error}") from error
    if held_out.shape != images.shape:
        raise ZooError(
            f"train.validate_every needs a test split like the training data: {held_out.shape} "
            f"is not {images.shape}"
        )
    if images.given is None or held_out.given is None:
        return held_out
    known, found = images.given.known, held_out.given.known
    if found.shape != known.shape:
        raise ZooError(
            f"train.validate_every needs a test split like the training data: conditions of shape "
            f"{found.shape} are not {known.shape}"
        )
    return replace(held_out, given=held_out.given.standardised_as(known.standardise))


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
    averaged = {
        "network.labels": network.labels,
        "data.augment": recipe.data.augment,
        "data.condition": images.given,
    }
    if what := next((name for name, used in averaged.items() if used), None):
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
    unfit = {
        "train.compile = true": plan.compile,
        'train.optimizer = "muon"': plan.optimizer == "muon",
        "train.ema_lengths": plan.ema_lengths,
    }
    what = next((name for name, used in unfit.items() if used), None)
    if plan.parallel == "fsdp" and what is not None:
        raise ZooError(
            f'train.parallel = "fsdp" does not go with {what}: both need whole tensors; leave one '
            "of them out"
        )

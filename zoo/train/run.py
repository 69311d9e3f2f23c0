"""From a recipe to a trained model folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from zoo import build
from zoo.data import Images, load
from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Network
from zoo.recipe import Recipe
from zoo.train.checkpoint import read
from zoo.train.loop import CHECKPOINT, Trainer, step_seed


@dataclass(frozen=True)
class Plan:
    """What a recipe comes to: data and parts, built and checked, nothing trained yet."""

    recipe: Recipe
    data: Images
    kernel: FieldKernel
    network: Network

    @property
    def parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.numel() for p in self.network.parameters())


def make_plan(recipe: Recipe, data: str | None = None) -> Plan:
    """Build everything that `recipe` names, so that a mistake shows before the first step.

    Args:
        recipe: the recipe.
        data: reference of a data set to use instead of the recipe's.

    Raises:
        ZooError: a part, an option or the data is not there or does not fit.
    """
    images = load(data or recipe.data.use, size=recipe.data.size)
    dim = images.images[0].numel()
    kernel = build.kernel(recipe.kernel.use, dim=dim, **recipe.kernel.options)
    build.prior(recipe.prior.use, kernel, **recipe.prior.options)
    solver = {k: v for k, v in recipe.solver.options.items() if k != "steps"}
    build.solver(recipe.solver.use, **solver)
    torch.manual_seed(step_seed(recipe.train.seed, -1))
    network = build.network(
        recipe.network.use, shape=images.shape, kernel=kernel, **recipe.network.options
    )
    if network.labels and network.labels != images.classes:
        raise ZooError(
            f"network.labels = {network.labels}, but {images.name} has {images.classes} classes"
        )
    if recipe.data.flip and len(images.shape) != 3:
        raise ZooError(f"data.flip = true takes images, not shape {images.shape}")
    return Plan(recipe, images, kernel, network)


def start(plan: Plan, folder: Path, *, resume: bool, device: torch.device) -> Trainer:
    """Return the trainer in `folder`, at its first step or, resumed, at its last checkpoint.

    Raises:
        ZooError: a run is there already and `resume` is false, or the reverse.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZooError(f"cannot write into {folder}: {error.strerror}") from error
    there = (folder / CHECKPOINT).exists()
    if there and not resume:
        at = read(folder / CHECKPOINT)["step"]
        raise ZooError(f"{folder} holds a run at step {at}; go on with --resume or name another")
    trainer = Trainer(plan.recipe, plan.data, plan.kernel, plan.network, folder, device)
    if there:
        trainer.resume()
    return trainer

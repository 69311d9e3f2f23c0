"""The training loop. Step k depends on the recipe, the weights before it and (seed, k) alone.

Nothing else is carried from step to step, so a run that was killed and resumed ends on the same
bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from zoo.config.recipe import Recipe, differences, from_dict
from zoo.data import Images
from zoo.errors import ZooError, one_line
from zoo.interfaces import FieldKernel, Network
from zoo.numerics.memory import keep_freed_memory
from zoo.train import checkpoint
from zoo.train import progress as progress_log
from zoo.train.batch import Batch, Draws, step_seed
from zoo.train.board import Board
from zoo.train.compiler import compile_in_place
from zoo.train.noise import noise_law
from zoo.train.objective import Objective
from zoo.train.optimizer import optimizer_of
from zoo.train.shared_step import SharedStep
from zoo.train.watch import Watcher, is_due
from zoo.world import World

CHECKPOINT = "checkpoint.pt"
# A run whose steps are all non-finite is lost: stop instead of burning its budget.
_MAX_SKIPPED_IN_A_ROW = 50
Progress = Callable[[int, float], None]


class Trainer:
    """One training run in one folder: network, optimiser, EMA, checkpoints and log.

    Args:
        recipe: what to train and for how long.
        data: the training images.
        kernel: the field kernel.
        network: the network, trained in place; `ema.module` is the averaged one.
        folder: where checkpoint.pt and log.jsonl go.
        world: the processes that train together, and the device of this one.
        watchers: what looks at the run now and then, in the process that writes.

    Attributes:
        validation_loss: the last one, None before the first and where it was not finite.
        best_loss: the least of them, at step `best_step`.
        board: where to log beside log.jsonl, or None.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Images,
        kernel: FieldKernel,
        network: Network,
        folder: Path,
        world: World,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        keep_freed_memory()
        self.recipe, self.data, self.kernel = recipe, data, kernel
        self.folder, self.world = folder, world
        self.watchers = watchers if world.first else ()
        self.board: Board | None = None
        self.network = network.to(world.device).train()
        plan = recipe.train
        self.steps = math.ceil(plan.images / plan.batch)
        self.step, self.skipped, self.skipped_in_a_row = 0, 0, 0
        self.stopping = False  # set from outside: end after the step under way
        self.validation_loss: float | None = None
        self.best_loss: float | None = None
        self.best_step = 0
        noise = noise_law(kernel, plan.level_mean, plan.level_std)
        self.draws = Draws(recipe, data, kernel, network, noise, world.device)
        self.optimizer = optimizer_of(network, plan)
        self.shared = SharedStep(self.optimizer, world)
        self.schedule = CosineLRScheduler(
            self.optimizer,
            t_initial=self.steps,
            lr_min=plan.lr if plan.schedule == "constant" else plan.lr_min,
            warmup_t=max(1, min(self.steps // 10, plan.warmup // plan.batch)),
            warmup_lr_init=plan.lr_min,
            t_in_epochs=False,
        )
        decay = 0.5 ** (plan.batch / plan.ema_halflife)
        self.ema = ModelEmaV3(network, decay=decay, use_warmup=True, warmup_power=0.75)

    @cached_property
    def objective(self) -> nn.Module:
        """The loss; with several processes its first use waits for all, and starts all alike."""
        self.world.same(self.network.state_dict().values())
        objective = Objective(self.network, self.recipe.train.precision)
        if self.recipe.train.compile:
            compile_in_place(objective, self.world.device)
        return objective

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of a batch."""
        loss: Tensor = self.objective(batch)
        return loss

    def gradients(self) -> Tensor:
        """Leave the gradient of the mean loss of the next batch, of this process's share of it.

        Returns that loss.
        """
        plan = self.recipe.train
        batch = self.draws.batch(self.step, self.world.share(plan.batch))
        total = torch.zeros((), device=self.world.device)
        for k, part in enumerate(batch.split(plan.accumulate), start=1):
            # Dropout alone draws from here on: on what it falls may differ between processes.
            torch.manual_seed(
                step_seed(plan.seed, self.step, self.world.rank * plan.accumulate + k)
            )
            loss = self.loss(part) / plan.accumulate
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def advance(self) -> float:
        """Make one step and return its loss; a non-finite step is counted, not applied.

        Raises:
            ZooError: 50 such steps in a row.
        """
        self.schedule.step_update(self.step)
        self.optimizer.zero_grad()
        loss, norm = self.shared.exchange(self.gradients(), self.recipe.train.clip)
        self.step += 1
        if bool(norm.isfinite()) and bool(loss.isfinite()):
            self.shared.step()
            self.ema.update(self.network, step=self.step)
            self.skipped_in_a_row = 0
        else:
            self.skipped += 1
            self.skipped_in_a_row += 1
            if self.skipped_in_a_row >= _MAX_SKIPPED_IN_A_ROW:
                raise ZooError(
                    f"the loss is not finite: {self.skipped_in_a_row} steps in a row up to step "
                    f"{self.step} were skipped; the last good checkpoint is in {self.folder}, but "
                    "going on from it ends here again: train with a smaller train.lr"
                )
        return float(loss)

    def save(self) -> None:
        """Write the checkpoint, if this process is the one that writes; all have to call this."""
        optimizer = self.shared.state_dict()
        if optimizer is None:
            return
        state = {
            "format": checkpoint.FORMAT,
            "recipe": self.recipe.to_dict(),
            "data": self.data.digest,
            "step": self.step,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "validation_loss": self.validation_loss,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "network": self.network.state_dict(),
            "ema": self.ema.module.state_dict(),
            "optimizer": optimizer,
        }
        checkpoint.write_atomic(self.folder / CHECKPOINT, state)

    def resume(self) -> None:
        """Continue from the folder's checkpoint.

        Raises:
            ZooError: there is none, it is of another recipe, of other data, or of another
                version's network.
        """
        path = self.folder / CHECKPOINT
        state = checkpoint.read(path)
        before = from_dict(state["recipe"], str(path))
        if before != self.recipe:
            raise ZooError(
                f"{path} belongs to another recipe ({differences(before, self.recipe)}); "
                "train into another folder"
            )
        if state["data"] != self.data.digest:
            raise ZooError(
                f"{path} was trained on other samples than {self.data.name} has now "
                f"({len(self.data):,} of them); give back the old data or train into another folder"
            )
        try:
            self.network.load_state_dict(state["network"])
            self.ema.module.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.skipped = state["step"], state["skipped"]
            self.skipped_in_a_row = state["skipped_in_a_row"]
            self.validation_loss = state["validation_loss"]
            self.best_loss, self.best_step = state["best_loss"], state["best_step"]
        except (KeyError, RuntimeError, ValueError) as error:
            reason = one_line(error)
            raise ZooError(f"{path} does not fit what its recipe builds now: {reason}") from error
        if self.world.first:
            progress_log.cut(self.folder, self.step)

    def run(self, progress: Progress | None = None) -> None:
        """Train to the end of the budget, with checkpoints and one log line per interval.

        Raises:
            KeyboardInterrupt: `stopping` was set: after the step under way, which is saved.
        """
        plan = self.recipe.train
        losses: list[float] = []
        since = time.perf_counter()
        while self.step < self.steps:
            losses.append(self.advance())
            if progress:
                progress(self.step, losses[-1])
            last = self.step == self.steps
            if last or self.step % plan.log_every == 0:
                rate = len(losses) * plan.batch / (time.perf_counter() - since)
                self.log(
                    lr=self.optimizer.param_groups[0]["lr"],
                    skipped=self.skipped,
                    loss=progress_log.mean(losses),
                    images_per_s=float(f"{rate:.4g}"),
                )
                losses, since = [], time.perf_counter()
            for watcher in self.watchers:
                if is_due(watcher.every, self.step, self.steps, plan.batch):
                    watcher.look(self)
            if last or self.stopping or self.step % plan.checkpoint_every == 0:
                self.save()
            if self.stopping and not last:
                raise KeyboardInterrupt

    def log(self, **values: Any) -> None:
        """Add a line to the log, if this process is the one that writes."""
        if self.world.first:
            line = {"step": self.step, "images": self.step * self.recipe.train.batch, **values}
            progress_log.append(self.folder, line)
            if self.board:
                self.board.add(line)

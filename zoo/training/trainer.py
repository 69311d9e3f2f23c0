"""The training loop. Step k depends on the recipe, the weights before it and (seed, k) alone.

Nothing else is carried from step to step, so a run that was killed and resumed ends on the same
bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from timm.scheduler import CosineLRScheduler
from torch import Tensor

from zoo.config.recipe import differences, from_dict, with_habits_of
from zoo.errors import ZooError, one_line
from zoo.folder.run import CHECKPOINT
from zoo.interfaces import Network
from zoo.numerics.memory import keep_freed_memory
from zoo.sampling.distributed import DistributedContext
from zoo.sampling.rng import step_seed
from zoo.training import checkpoint, log, power_ema, restored
from zoo.training.batch import Batch, BatchSampler
from zoo.training.parallel import DataParallel, FullySharded, SingleProcess
from zoo.training.plan import Plan

# A run whose steps are all non-finite is lost: stop instead of burning its budget.
_MAX_SKIPPED_IN_A_ROW = 50
TIMED_STEPS = 20
_LONGEST_REASON = 250
# The first ones also allocate, compile and fill caches.
_WARMUP_STEPS = 5
# Attributes that a checkpoint holds.
_SAVED = ("step", "skipped", "skipped_in_a_row", "validation_loss", "best_loss", "best_step")
Progress = Callable[[int, float], None]
_TRAIN_LONGER = (
    ", from the weights of this one: --resume --stop makes a model of them, and train.start = "
    "'./RUN/model' begins with it"
)


class Callback(Protocol):
    """Reads the averaged weights now and then, in the main process.

    It changes nothing of a run but `enough`, which ends it; one of several processes may not.

    Attributes:
        every: images between two calls; there is one more at the end.
    """

    every: int

    def on_step(self, trainer: Trainer) -> None:
        """Act after a step, before its checkpoint; a resumed run repeats what came after it."""


def is_due(every: int, step: int, steps: int, batch: int) -> bool:
    """Return whether step number `step` (from 1) passes a multiple of `every`, or is the last."""
    return step == steps or step * batch // every > (step - 1) * batch // every


class Trainer:
    """One training run in one folder: network, optimiser, EMA, checkpoints and log.

    Where several processes train together, all of them have to make it and call its methods.

    Args:
        plan: recipe, data, kernel and network, which is trained in place; `averaged` is the
            averaged one.
        folder: where checkpoint.pt and log.jsonl go.
        context: the processes that train together, and the device of this one.
        callbacks: called in the main process.

    Attributes:
        validation_loss: the last one, None before the first and where it was not finite.
        best_loss: the least of them, at step `best_step`.
        board: TensorBoard's log, which gets what log.jsonl gets; or None.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        context: DistributedContext,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        keep_freed_memory()
        self.recipe, self.data, self.kernel = plan.recipe, plan.data, plan.kernel
        self.folder, self.context = folder, context
        self.callbacks = callbacks
        self.board: log.TensorBoard | None = None
        train = plan.recipe.train
        self.steps = math.ceil(train.images / train.batch)
        self.step, self.skipped, self.skipped_in_a_row = 0, 0, 0
        self.stopping = False  # set from outside: end after the step under way
        self.enough = False  # set by a callback: what is trained is trained
        self.validation_loss: float | None = None
        self.best_loss: float | None = None
        self.best_step = 0
        self.batches = BatchSampler(plan, context.device)
        self.parallel = self._parallel(plan.network)
        self.network, self.ema = self.parallel.network, self.parallel.ema
        self.optimizer = self.parallel.optimizer
        self.schedule = CosineLRScheduler(
            self.optimizer,
            t_initial=max(2, self.steps),  # timm warns of one, which is all warm-up anyway
            lr_min=train.lr if train.schedule == "constant" else train.lr_min,
            warmup_t=max(1, min(self.steps // 10, train.warmup // train.batch)),
            warmup_lr_init=train.lr_min,
            t_in_epochs=False,
        )

    def _parallel(self, network: Network) -> SingleProcess:
        plan = self.recipe.train
        if self.context.size == 1:
            return SingleProcess(network, plan, self.context)
        if plan.parallel == "fsdp":
            return FullySharded(network, plan, self.context)
        return DataParallel(network, plan, self.context, lambda: self._parts()[0])

    @property
    def averaged(self) -> Network:
        """The network with the averaged weights, in the main process."""
        return self.parallel.averaged

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of a batch."""
        loss: Tensor = self.parallel.objective(batch)
        return loss

    def _parts(self) -> list[Batch]:
        """Return this process's shard of the next batch, in the parts that it is computed in."""
        plan = self.recipe.train
        return self.batches.batch(self.step, self.context.shard(plan.batch)).split(plan.accumulate)

    def gradients(self) -> Tensor:
        """Leave the gradient of the mean loss of the next batch; return that loss, a scalar."""
        plan, rank = self.recipe.train, self.context.rank
        total = torch.zeros((), device=self.context.device)
        for k, part in enumerate(self._parts(), start=1):
            # Dropout alone draws from here on; its mask may differ between processes.
            torch.manual_seed(step_seed(plan.seed, self.step, rank * plan.accumulate + k))
            with self.parallel.synchronise(last=k == plan.accumulate):
                loss = self.loss(part) / plan.accumulate
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return self.context.all_reduce(total / self.context.size)

    def advance(self) -> float:
        """Make one step and return its loss; a non-finite step is counted, not applied.

        Raises:
            ZooError: 50 such steps in a row.
        """
        self.schedule.step_update(self.step)
        self.optimizer.zero_grad()
        loss = self.gradients()
        norm = self.parallel.clip(self.recipe.train.clip)
        self.step += 1
        if bool(norm.isfinite()) and bool(loss.isfinite()):
            self.optimizer.step()
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
        if self.parallel.powers:  # by time: after a skipped step too, where weights are as before
            self.parallel.powers.update(self.network, self.step)
        return float(loss)

    def save(self) -> None:
        """Write the checkpoint in the main process; every process has to call this."""
        parallel = self.parallel.state_dict()
        if parallel is None:
            return
        state = {
            "format": checkpoint.FORMAT,
            "recipe": self.recipe.to_dict(),
            "data": self.data.digest,
            **{name: getattr(self, name) for name in _SAVED},
            **parallel,
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
        restored.check_counts(path, state, self.steps)
        before = with_habits_of(from_dict(state["recipe"], str(path)), self.recipe)
        if before != self.recipe:
            longer = before.train.images < self.recipe.train.images
            raise ZooError(
                f"{path} belongs to another recipe ({differences(before, self.recipe)}); "
                f"train into another folder{_TRAIN_LONGER if longer else ''}"
            )
        if state["data"] != self.data.digest:
            raise ZooError(
                f"{path} was trained on other samples than {self.data.name} has now "
                f"({len(self.data):,} of them); give back the old data or train into another folder"
            )
        try:
            self.parallel.check(state)
            self.parallel.load_state_dict(state)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            reason = one_line(error)[:_LONGEST_REASON]
            raise ZooError(f"{path} does not fit what its recipe builds now: {reason}") from error
        for name in _SAVED:
            setattr(self, name, state[name])
        if self.context.is_main:
            log.cut(self.folder, self.step)

    def run(self, progress: Progress | None = None) -> None:
        """Train to the end of the budget, with checkpoints and one log line per interval.

        Raises:
            KeyboardInterrupt: `stopping` was set: after the step under way, which is saved.
        """
        plan = self.recipe.train
        losses: list[float] = []
        since = time.perf_counter()
        powers, moments = self.parallel.powers, power_ema.snapshot_steps(self.steps)
        if powers and not self.step:
            power_ema.forget_snapshots(self.folder)
        while self.step < self.steps and not self.enough:
            losses.append(self.advance())
            if progress:
                progress(self.step, losses[-1])
            last = self.step == self.steps
            if last or self.step % plan.log_every == 0:
                rate = len(losses) * plan.batch / (time.perf_counter() - since)
                self.log(
                    lr=self.optimizer.param_groups[0]["lr"],
                    skipped=self.skipped,
                    loss=log.mean(losses),
                    images_per_s=float(f"{rate:.4g}"),
                )
                losses, since = [], time.perf_counter()
            self._call_back()
            if powers and self.step in moments:
                power_ema.write_snapshot(self.folder, self.step, powers)
            if last or self.enough or self.stopping or self.step % plan.checkpoint_every == 0:
                self.save()
            if self.stopping and not (last or self.enough):
                raise KeyboardInterrupt(f"stopped after step {self.step:,}")

    def _call_back(self) -> None:
        batch = self.recipe.train.batch
        due = [c for c in self.callbacks if is_due(c.every, self.step, self.steps, batch)]
        if due:
            self.parallel.gather_averaged()
        for callback in due if self.context.is_main else ():
            callback.on_step(self)

    def log(self, **values: Any) -> None:
        """Add a line to the log, in the main process."""
        if self.context.is_main:
            line = {"step": self.step, "images": self.step * self.recipe.train.batch, **values}
            log.append(self.folder, line)
            if self.board:
                self.board.add(line)


def seconds_per_step(trainer: Trainer) -> float:
    """Make the first 20 steps of a run, fewer where it has fewer; return the mean time of one.

    The first 5 are not counted where there are more. The trainer is changed, but writes nothing.
    """
    steps = min(TIMED_STEPS, trainer.steps)
    skipped = _WARMUP_STEPS if steps > _WARMUP_STEPS else 0
    for _ in range(skipped):
        trainer.advance()
    since = time.perf_counter()
    for _ in range(steps - skipped):
        trainer.advance()
    return (time.perf_counter() - since) / (steps - skipped)


def duration(seconds: float) -> str:
    """Return a time in the two largest units that it has: "3 d 4 h", "2 h 5 min", "7 s"."""
    whole = max(1, round(seconds))
    units = {"d": whole // 86400, "h": whole // 3600 % 24, "min": whole // 60 % 60, "s": whole % 60}
    names = [*units]
    first = next(i for i, name in enumerate(names) if units[name])
    return " ".join(f"{units[n]} {n}" for n in names[first : first + 2] if units[n])

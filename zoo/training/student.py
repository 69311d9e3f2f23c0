"""The training of a student's network, by the steps of its own solver; see `zoo.distill`."""

from __future__ import annotations

import copy
import math
import time
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.config.recipe import TrainPlan
from zoo.errors import ZooError
from zoo.interfaces import Flow, Network
from zoo.models.model import FieldModel
from zoo.numerics.huber import pseudo_huber
from zoo.sampling.guidance import Guidance
from zoo.sampling.predict import unwrapped
from zoo.sampling.progress import bar
from zoo.sampling.rng import DISTILLED, seed_for
from zoo.training.objective import optimizer_of
from zoo.training.power_ema import PowerAverages
from zoo.training.teacher import Pool, StudentSolver, Teacher, Trajectories

# Batches of starts that weights are chosen on, and of those that are reported.
_CHOSEN_ON, _REPORTED = 2, 4
# Steps on a batch for each new one of trajectories.
_REUSED = 6
# Times that weights are compared; the warmup in steps, and at most as a part of training.
_CHECKS, _WARMUP_STEPS, _WARMUP = 12, 100, 0.05
# Length of the weights' average, relative to the training.
_AVERAGED = 0.05
_MAX_SKIPPED = 50


class Worth(NamedTuple):
    """How near samples are to the teacher's, on starts that nothing was trained or chosen on.

    Attributes:
        error: mean over starts of the root mean square distance per coordinate.
        standard_error: of that mean.
        before: the mean of the teacher's own network by the same steps.
    """

    error: float
    standard_error: float
    before: float


class Run:
    """A distillation: the student's network, in training, and the best averaged weights so far.

    Args:
        model: the teacher.
        solver: of the student.
        guidance: of the teacher's samples.
        seed: of starts and batches.
        batch: starts in a step.
        lr: peak learning rate.
        bf16: whether the student is trained under autocast.

    Attributes:
        best: the network with the weights that were chosen, the teacher's own to begin with.
        step: steps so far.
    """

    def __init__(
        self,
        model: FieldModel,
        solver: StudentSolver,
        guidance: Guidance,
        *,
        seed: int,
        batch: int,
        lr: float,
        bf16: bool = False,
    ) -> None:
        self.model, self.solver, self.batch, self.seed = model, solver, batch, seed
        self.teacher = Teacher(model, solver, guidance, seed)
        self.network = copy.deepcopy(unwrapped(model.network)).float().eval()
        if not any(p.requires_grad for p in self.network.parameters()):  # as teachers are held
            self.network.requires_grad_(True)
        self.averages = PowerAverages(self.network, (_AVERAGED,))
        self.lr, self.optimizer = lr, optimizer_of(self.network, TrainPlan(lr=lr))
        self.bf16, self.best = bf16, copy.deepcopy(self.network)
        self.step = self.skipped = 0

    def train(self, steps: int | None, until: float, progress: bool) -> Worth:
        """Train for so many steps, or until a time where there is no number of them.

        Raises:
            ZooError: no gradient is finite for 50 steps.
        """
        chosen_on, reported = (self.teacher.draw(n * self.batch) for n in (_CHOSEN_ON, _REPORTED))
        pool, measured, done = Pool(self.teacher.draw(self.batch)), 0, 0.0
        own = nearest = self.mean(self.network, chosen_on)
        before = self.mean(self.network, reported)
        since = time.monotonic()  # the schedule is that of training alone
        with bar(total=100, unit="%", shown=progress) as shown:
            while done < 1:
                if self.step % _REUSED == 0:
                    pool.add(self.teacher.draw(self.batch))
                generator = torch.Generator().manual_seed(seed_for(self.seed, DISTILLED, self.step))
                self.advance(pool.batch(self.batch, generator), done)
                now = (time.monotonic() - since) / max(until - since, 1e-9)
                earlier, done = done, min(1.0, now if steps is None else self.step / steps)
                shown.update(round(100 * done) - round(100 * earlier))
                if int(_CHECKS * done) > measured:
                    measured = int(_CHECKS * done)
                    nearest = self.choose(chosen_on, nearest)
                    shown.set_postfix_str(f"error {own:.3g} -> {nearest:.3g}")
        found = self.measure(self.best, reported)
        return Worth(float(found.mean()), float(found.std()) / math.sqrt(len(found)), before)

    def advance(self, batch: Trajectories, done: float) -> None:
        """Make one step on a batch, when a part of the training is done.

        Raises:
            ZooError: no gradient was finite for 50 steps.
        """
        self.step += 1
        warm = min(1.0, max(self.step / _WARMUP_STEPS, done / _WARMUP))
        rate = warm * (1 + math.cos(math.pi * done)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * rate
        self.optimizer.zero_grad()
        flow = self.flow(self.network, batch.labels)
        with torch.autocast(batch.x.device.type, torch.bfloat16, enabled=self.bf16):
            for error in self.solver.errors(flow, batch.x, batch.nodes.unbind()):
                torch.autograd.backward(pseudo_huber(error).mean())
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if bool(norm.isfinite()):
            self.optimizer.step()
            self.skipped = 0
        else:
            self.skipped += 1
        if self.skipped >= _MAX_SKIPPED:
            raise ZooError(
                f"training diverged: no gradient was finite for {_MAX_SKIPPED} steps; take a "
                f"smaller lr than {self.lr:g}"
            )
        self.averages.update(self.network, self.step)

    def flow(self, network: Network, labels: Tensor | None) -> Flow:
        """Return the ODE of a student's network, asked in whole batches."""
        kernel, known = self.model.kernel, network.sigma_data
        return Flow(kernel, network, network.predicts, labels=labels, sigma_data=known)

    @torch.no_grad()
    def choose(self, chosen_on: Trajectories, nearest: float) -> float:
        """Keep the averaged weights where their error is the least so far; return the least."""
        found = copy.deepcopy(self.network)
        for name, parameter in found.named_parameters():
            parameter.copy_(self.averages.means[0][name])
        error = self.mean(found, chosen_on)
        if error >= nearest:
            return nearest
        self.best = found
        return error

    def mean(self, network: Network, starts: Trajectories) -> float:
        """Return the mean of `measure`."""
        return float(self.measure(network, starts).mean())

    @torch.no_grad()
    def measure(self, network: Network, starts: Trajectories) -> Tensor:
        """Return sqrt(|x - x*|^2 / d) of samples x and the teacher's x*, (n,); inf where lost."""
        found = []
        for first in range(0, len(starts.x), self.batch):
            part = starts.rows(torch.arange(first, first + self.batch))
            flow = self.flow(network, part.labels)
            try:
                data = self.solver.to_data(flow, part.x, steps=self.solver.own_steps)
            except ZooError:
                return torch.full((len(starts.x),), math.inf)
            off = (self.model.in_range(data.double()) - part.nodes[-1]).flatten(1)
            found.append(off.square().mean(dim=1).sqrt())
        return torch.cat(found).nan_to_num(math.inf, math.inf)

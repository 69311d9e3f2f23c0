"""The training of a student, its network and its steps together; see `zoo.distill`."""

from __future__ import annotations

import copy
import math
import time
from contextlib import suppress
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from zoo.config.distilled import SOLVER
from zoo.config.recipe import TrainPlan
from zoo.errors import ZooError
from zoo.host.build import solver as build_solver
from zoo.interfaces import SIGMA_DATA, Flow, Network, Solver
from zoo.models.model import FieldModel
from zoo.numerics.huber import pseudo_huber
from zoo.sampling.few_steps import FewSteps, Learnable, few_levels, levels_of
from zoo.sampling.guidance import Guidance
from zoo.sampling.predict import unwrapped
from zoo.sampling.progress import bar
from zoo.sampling.rng import DISTILLED, seed_for
from zoo.training.objective import optimizer_of
from zoo.training.power_ema import PowerAverages
from zoo.training.teacher import Pool, Taught, Teacher

# Batches of starts that weights are chosen on, and of those that are reported.
_CHOSEN_ON, _REPORTED = 2, 4
# Steps on a batch for each new one of the teacher's, at least; more, where its evaluations are so
# many times the student's.
_REUSED = 4
# Times that weights are compared; the warmup in steps, and at most as a part of training.
_CHECKS, _WARMUP_STEPS, _WARMUP = 12, 50, 0.05
# Length of the weights' average, relative to the training.
_AVERAGED = 0.05
# Learning rate of levels and coefficients, over that of the weights.
_FASTER = 10.0
_MAX_SKIPPED = 50


class Worth(NamedTuple):
    """How near samples are to the teacher's, on starts that nothing was trained or chosen on.

    Attributes:
        error: mean over starts of the root mean square distance per coordinate.
        standard_error: of that mean.
        before: the mean of the teacher's own network by the steps that training began with.
    """

    error: float
    standard_error: float
    before: float


class Student(NamedTuple):
    """A network and the options of the solver `learned`."""

    network: Network
    options: dict[str, Any]

    @property
    def solver(self) -> Solver:
        """Its solver, anew."""
        return build_solver(SOLVER, **self.options)


class Run:
    """A distillation: the student in training, and the best averaged one so far.

    Args:
        model: the teacher.
        evaluations: of the student for a sample.
        guidance: of the teacher's samples.
        seed: of starts and batches.
        batch: starts in a step.
        lr: peak learning rate.
        bf16: whether networks are asked under autocast while it is trained.

    Attributes:
        best: the student that was chosen.
        step: steps so far.
    """

    best: Student

    def __init__(
        self,
        model: FieldModel,
        evaluations: int,
        guidance: Guidance,
        *,
        seed: int,
        batch: int,
        lr: float,
        bf16: bool = False,
    ) -> None:
        self.model, self.evaluations, self.batch, self.seed = model, evaluations, batch, seed
        self.teacher = Teacher(model, guidance, seed, bf16=bf16)
        self.network = copy.deepcopy(unwrapped(model.network)).float().eval()
        if not any(p.requires_grad for p in self.network.parameters()):  # as teachers are held
            self.network.requires_grad_(True)
        self.averages = PowerAverages(self.network, (_AVERAGED,))
        self.lr, self.bf16 = lr, bf16
        self.optimizer = optimizer_of(self.network, TrainPlan(lr=lr, optimizer="muon"))
        self.step = self.skipped = 0

    def train(self, steps: int | None, until: float, progress: bool) -> Worth:
        """Train for so many steps, or until a time where there is no number of them.

        Raises:
            ZooError: no gradient is finite for 50 steps.
        """
        chosen_on, reported = (self.teacher.draw(n * self.batch) for n in (_CHOSEN_ON, _REPORTED))
        nearest = self.begin(chosen_on)
        own, before = nearest, self.mean(self.best, reported)
        reused = max(_REUSED, math.ceil(self.teacher.evaluations / self.evaluations))
        pool, measured, done = Pool(self.teacher.draw(self.batch, rough=True)), 0, 0.0
        since = time.monotonic()  # the schedule is that of training alone
        with bar(total=100, unit="%", shown=progress) as shown:
            while done < 1:
                if self.step % reused == 0:
                    pool.add(self.teacher.draw(self.batch, rough=True))
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

    def begin(self, chosen_on: Taught) -> float:
        """Take the levels at which the teacher's own network errs the least; return its error."""
        size = self.network.sigma_data or SIGMA_DATA
        part = self.model.solver.part
        scale = {} if part is None else {k: v for k, v in part.options.items() if k == "scale"}
        kernel, solver, count = self.model.kernel, self.teacher.solver, self.evaluations
        grids = few_levels(kernel, solver, count, size)
        if count > 1:
            with suppress(ZooError):  # it has levels above LEVEL_CAP
                grids.append(levels_of(kernel, solver, count))
        students = [Student(copy.deepcopy(self.network), {"grid": g, **scale}) for g in grids]
        errors = [self.mean(student, chosen_on) for student in students]
        least = min(errors)
        self.best = students[errors.index(least)]
        self.options, self.solver = self.best.options, self.best.solver
        self.steps = FewSteps(cast(Learnable, self.solver))
        free = [*self.steps.free.values()]
        self.optimizer_of_steps = torch.optim.Adam(free, betas=(0.9, 0.95)) if free else None
        return least

    def advance(self, batch: Taught, done: float) -> None:
        """Make one step on a batch, when a part of the training is done.

        Raises:
            ZooError: no gradient was finite for 50 steps.
        """
        self.step += 1
        warm = min(1.0, max(self.step / _WARMUP_STEPS, done / _WARMUP))
        rate = self.lr * warm * (1 + math.cos(math.pi * done)) / 2
        moved: list[tuple[torch.optim.Optimizer, float, list[Tensor]]] = [
            (self.optimizer, rate, [*self.network.parameters()])
        ]
        if self.optimizer_of_steps is not None:
            moved.append((self.optimizer_of_steps, _FASTER * rate, [*self.steps.free.values()]))
        for optimizer, own_rate, _ in moved:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = own_rate
        self.steps.put(cast(Learnable, self.solver))
        finite = True
        try:
            with torch.autocast(batch.x.device.type, torch.bfloat16, enabled=self.bf16):
                ends = self.ends(self.network, batch, self.solver)
            torch.autograd.backward(pseudo_huber(ends - batch.data).mean())
        except ZooError:  # the state is lost
            finite = False
        norms = [torch.nn.utils.clip_grad_norm_(inputs, 1.0) for *_, inputs in moved]
        if finite and all(bool(norm.isfinite()) for norm in norms):
            for optimizer, *_ in moved:
                optimizer.step()
            self.skipped = 0
        else:
            self.skipped += 1
        if self.skipped >= _MAX_SKIPPED:
            raise ZooError(
                f"training diverged: no gradient was finite for {_MAX_SKIPPED} steps; take a "
                f"smaller lr than {self.lr:g}"
            )
        self.averages.update(self.network, self.step)

    def ends(self, network: Network, starts: Taught, solver: Solver) -> Tensor:
        """Return where a network's walks from starts end, as it knows data, (n, *)."""
        kernel, known = self.model.kernel, network.sigma_data
        flow = Flow(kernel, network, network.predicts, labels=starts.labels, sigma_data=known)
        data = solver.to_data(flow, starts.x, steps=self.evaluations)
        return self.model.in_range(data)

    @torch.no_grad()
    def choose(self, chosen_on: Taught, nearest: float) -> float:
        """Keep the averaged weights where their error is the least so far; return the least."""
        network = copy.deepcopy(self.network)
        for name, parameter in network.named_parameters():
            parameter.copy_(self.averages.means[0][name])
        found = Student(network, self.steps.options(self.options))
        error = self.mean(found, chosen_on)
        if error >= nearest:
            return nearest
        self.best = found
        return error

    def mean(self, student: Student, starts: Taught) -> float:
        """Return the mean of `measure`."""
        return float(self.measure(student, starts).mean())

    @torch.no_grad()
    def measure(self, student: Student, starts: Taught) -> Tensor:
        """Return sqrt(|x - x*|^2 / d) of samples x and the teacher's x*, (n,); inf where lost."""
        found = []
        try:
            solver = student.solver
            for first in range(0, len(starts.x), self.batch):
                part = starts.rows(slice(first, first + self.batch))
                off = self.ends(student.network, part, solver).double() - part.data
                found.append(off.flatten(1).square().mean(dim=1).sqrt())
        except ZooError:  # its levels are none, or a state is lost
            return torch.full((len(starts.x),), math.inf)
        return torch.cat(found).nan_to_num(math.inf, math.inf)

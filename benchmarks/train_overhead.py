"""What `zoo train` adds to a bare loop of the same network, loss and data, measured in one run.

    python benchmarks/train_overhead.py [--recipe NAME] [--data REF] [--rounds 20] [--json out.json]

The bare loop draws a batch and its noise, computes the loss and its gradient, and lets the
recipe's optimiser step, timm's; no clipping, no averaged weights, no seeds, no check that a step
is finite, no log. One step of either is made in turn. A step's time is the processor's (this
process's own, whatever else the machine does) and the clock's; each figure is the median over the
steps, and the ratio the median over the pairs. Checkpoints are added at the recipe's rate.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import torch
from timing import Part, report, row_of

from zoo.training.batch import noise_distribution
from zoo.training.objective import optimizer_of
from zoo.training.plan import Plan, make_plan
from zoo.training.recipes import load_recipe
from zoo.training.start import start


def bare_loop(plan: Plan) -> Iterator[float]:
    train, network, kernel = plan.recipe.train, plan.network.train(), plan.kernel
    optimizer = optimizer_of(network, train)
    noise = noise_distribution(kernel, train.level_mean, train.level_std)
    while True:
        x_0 = plan.data.batch(torch.randint(len(plan.data), (train.batch,)))
        x_t, t = noise.draw(kernel, x_0)
        target = x_0 if network.predicts == "denoised" else kernel.velocity(x_t, x_0, t)
        with torch.autocast("cpu", torch.bfloat16, enabled=train.precision == "bf16"):
            loss = network.loss(x_t, t, target).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield float(loss.detach())


def timed(step: Callable[[], object]) -> tuple[float, float]:
    """Return the processor's and the clock's seconds of a step."""
    clock, processor = time.perf_counter(), time.process_time()
    step()
    return time.process_time() - processor, time.perf_counter() - clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="gravity-fashion-mnist")
    parser.add_argument("--data", help="another data set, as for zoo train")
    parser.add_argument("--batch", type=int, help="another batch size")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe(arguments.recipe)
    if arguments.batch:
        train = msgspec.structs.replace(recipe.train, batch=arguments.batch)
        recipe = msgspec.structs.replace(recipe, train=train)
    with tempfile.TemporaryDirectory() as folder:
        trainer = start(make_plan(recipe, arguments.data), Path(folder))
        loop = bare_loop(make_plan(recipe, arguments.data))
        for _ in range(3):
            trainer.advance()
            next(loop)
        ours, bare = [], []
        for _ in range(arguments.rounds):
            ours.append(timed(trainer.advance))
            bare.append(timed(lambda: next(loop)))
        saving = min(timed(trainer.save) for _ in range(3))
    parts = []
    for kind, k in (("processor", 0), ("clock", 1)):
        extra = saving[k] / recipe.train.checkpoint_every
        times = [[1e3 * step[k] for step in steps] for steps in (bare, ours)]
        times[1] = [time + 1e3 * extra for time in times[1]]
        names = ("bare loop", "zoo train")
        rows = [row_of(n, v, times[0], 2) for n, v in zip(names, times, strict=True)]
        what = f"A step of {recipe.name}, batch {recipe.train.batch}, by the {kind}'s time."
        parts.append(Part(f"Training step, {kind}", what, "ms", rows))
    report(parts, arguments.json)


if __name__ == "__main__":
    main()

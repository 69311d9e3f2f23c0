"""Images per second of two processes that train together against one, measured in one run.

    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 benchmarks/train_processes.py [--steps 5]

Both use the recipe's whole batch, one thread per process. Some steps of one process, the others
waiting idle, then as many of all together, in turn. `clock` is what the clock says, the median
over the rounds, and needs as many free cores as processes. `processor` compares the processors'
seconds per image: the ratio there is what free cores would give if nobody ever waited. `apart` is
the clock's ratio of as many trainings that know nothing of each other, each of its part of the
batch: what cores that share caches and memory give where nobody waits, up to the machine's noise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from msgspec.structs import replace

from zoo.sampling.distributed import DistributedContext, connect
from zoo.training.plan import make_plan
from zoo.training.recipes import load_recipe
from zoo.training.start import trainer_of


def timed(context: DistributedContext, work: Callable[[], object]) -> tuple[float, float]:
    """Return the clock's seconds until all processes are done, and the processors' of all."""
    dist.barrier()
    clock, processor = time.perf_counter(), time.process_time()
    work()
    spent = torch.tensor(time.process_time() - processor)
    dist.barrier()
    return time.perf_counter() - clock, float(context.all_reduce(spent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="gravity-fashion-mnist")
    parser.add_argument("--data", help="another data set, as for zoo train")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe(arguments.recipe)
    with connect("cpu") as context, tempfile.TemporaryDirectory() as folder:
        plan = make_plan(recipe, arguments.data, processes=context.size)
        together = trainer_of(plan, Path(folder), context)
        alone = trainer_of(make_plan(recipe, arguments.data), Path(folder))
        share = recipe.train.batch // context.size
        part = replace(recipe, train=replace(recipe.train, batch=share))
        unrelated = trainer_of(make_plan(part, arguments.data), Path(folder))

        def by_one() -> None:
            for _ in range(arguments.steps if context.is_main else 0):
                alone.advance()

        def by_all() -> None:
            for _ in range(arguments.steps):
                together.advance()

        def by_each() -> None:
            for _ in range(arguments.steps):
                unrelated.advance()

        works = (by_one, by_all, by_each)
        for work in works:
            timed(context, work)
        rounds = [[timed(context, work) for work in works] for _ in range(arguments.rounds)]
        if not context.is_main:
            return
        ones, alls, eachs = zip(*rounds, strict=True)
        images = arguments.steps * recipe.train.batch
        one, both = (statistics.median(t[0] for t in times) for times in (ones, alls))
        clock = [a[0] / b[0] for a, b in zip(ones, alls, strict=True)]
        processor = [context.size * a[1] / b[1] for a, b in zip(ones, alls, strict=True)]
        apart = [a[0] / b[0] for a, b in zip(ones, eachs, strict=True)]
        result = {
            "recipe": recipe.name,
            "batch": recipe.train.batch,
            "processes": context.size,
            "images_per_s": {"one": round(images / one, 1), "all": round(images / both, 1)},
            "clock": round(statistics.median(clock), 3),
            "clock_best": round(min(t[0] for t in ones) / min(t[0] for t in alls), 3),
            "processor": round(statistics.median(processor), 3),
            "apart": round(statistics.median(apart), 3),
        }
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

"""Time added per network evaluation, against a hand-written Heun loop in the same run.

A null network, images of 3x32x32, batch 16, 18 steps, state in float64, network in float32:

    python benchmarks/solver_overhead.py [--repeats 20] [--json out.json]

Each solver's figure is the best of the repeats, interleaved with the loop's, in microseconds per
evaluation, and its ratio to the loop.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

import zoo
from zoo.interfaces import Flow

SHAPE, STEPS = (3, 32, 32), 18
SOLVERS = ("euler", "heun", "ddim", "exp-heun", "exp-ab2", "exp-ab3", "exp-abm3", "ab2", "rk4")


def null(x: Tensor, t: Tensor) -> Tensor:
    del t
    return x


def bare_heun(x: Tensor, times: list[float]) -> int:
    """EDM's algorithm 1 on float64 states with a float32 network, nothing else."""
    evaluations = 0
    for t, t_next in pairwise(times):
        d = (x - null(x.float(), x).double()) / t
        ahead = x + (t_next - t) * d
        d_next = (ahead - null(ahead.float(), x).double()) / t_next
        x = x + (t_next - t) * (d + d_next) / 2
        evaluations += 2
    return evaluations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    kernel = zoo.kernel("gaussian", dim=3 * 32 * 32)
    x = 80 * torch.randn(arguments.batch, *SHAPE, dtype=torch.float64)
    times = [
        (80 ** (1 / 7) + i / (STEPS - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
        for i in range(STEPS)
    ]

    def zoo_walk(name: str) -> Callable[[], int]:
        solver = zoo.solver(name)

        def walk() -> int:
            flow = Flow(kernel, null)
            solver.integrate(flow, x, 80.0, 0.002, steps=STEPS - 1)
            return flow.nfe

        return walk

    walks = {"bare Heun loop": lambda: bare_heun(x, times)} | {n: zoo_walk(n) for n in SOLVERS}
    best = dict.fromkeys(walks, float("inf"))
    with torch.inference_mode():
        for _ in range(arguments.repeats):
            for name, walk in walks.items():
                start = time.perf_counter()
                evaluations = walk()
                best[name] = min(best[name], (time.perf_counter() - start) / evaluations * 1e6)
    bare = best["bare Heun loop"]
    rows = {
        name: {"us_per_evaluation": round(us, 1), "ratio": round(us / bare, 2)}
        for name, us in best.items()
    }
    for name, row in rows.items():
        print(f"{name:16s} {row['us_per_evaluation']:8.1f} us  {row['ratio']:5.2f} x")
    if arguments.json:
        result = {"torch": torch.__version__, "threads": torch.get_num_threads(), "rows": rows}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Time added per network evaluation, against a hand-written Heun loop in the same run.

    python benchmarks/solver_overhead.py [--rounds 40] [--batch 16] [--json out.json]

A null network, images of 3x32x32, 18 steps. The first bare loop keeps the state in float64 and
calls the network in float32; the second, the zoo's solvers and other libraries keep it in float32.
A null network returns its input. Every figure is the time of a whole run over its evaluations, for
the second of two runs in a row.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from peers import samplers
from timing import Part, Run, arguments, report, side_by_side
from torch import Tensor

import zoo
from zoo.interfaces import FieldKernel, Flow

SHAPE = (3, 32, 32)
STEPS = 18
SOLVERS = (
    "euler",
    "heun",
    "ddim",
    "exp-heun",
    "exp-ab2",
    "exp-ab3",
    "exp-abm3",
    "exp-abm4",
    "ab2",
    "ab3",
)
# Kernels with a random level per sample, and the solvers that are timed under each.
RANDOM_LEVELS = {
    "gravity": ("heun", "exp-heun", "exp-ab3", "exp-abm3", "exp-abm4"),
    "pfgmpp": ("exp-abm3",),
    "tanh": ("exp-abm3",),
    "exp": ("exp-abm3",),
}


def null(x: Tensor, t: Tensor) -> Tensor:
    del t
    return x


def bare_heun(x: Tensor, times: list[float]) -> int:
    """EDM's algorithm 1 as one would write it, in x's dtype, with a float32 network."""
    evaluations = 0
    for t, t_next in pairwise(times):
        d = (x - null(x.float(), x).to(x.dtype)) / t
        ahead = x + (t_next - t) * d
        d_next = (ahead - null(ahead.float(), x).to(x.dtype)) / t_next
        x = x + (t_next - t) * (d + d_next) / 2
        evaluations += 2
    return evaluations


def zoo_sampler(kernel: FieldKernel, name: str, x: Tensor) -> Run:
    solver = zoo.solver(name)

    def sample() -> int:
        flow = Flow(kernel, null)
        solver.integrate(flow, x, kernel.t_max, kernel.t_min, steps=STEPS - 1)
        return flow.nfe

    return sample


def main() -> None:
    given = arguments(__doc__, rounds=40, batch=16)
    x = 80 * torch.randn(given.batch, *SHAPE, dtype=torch.float64)
    times = [
        (80 ** (1 / 7) + i / (STEPS - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
        for i in range(STEPS)
    ]
    runs: dict[str, Run] = {
        "bare Heun loop": lambda: bare_heun(x, times),
        "bare Heun loop, float32 state": lambda: bare_heun(x.float(), times),
    }
    gaussian, flow = (zoo.kernel(name, dim=3 * 32 * 32) for name in ("gaussian", "flow"))
    runs |= {f"zoo {name}": zoo_sampler(gaussian, name, x) for name in SOLVERS}
    runs |= {"zoo exp-abm3, flow": zoo_sampler(flow, "exp-abm3", x)}
    spread = x.mul(1 + torch.rand(given.batch, 1, 1, 1, dtype=x.dtype))
    for kind, names in RANDOM_LEVELS.items():
        kernel = zoo.kernel(kind, dim=3 * 32 * 32)
        runs |= {f"zoo {name}, {kind}": zoo_sampler(kernel, name, spread) for name in names}
    single = x.float()
    peers, notes = samplers()
    runs |= {name: lambda s=sample: s(single, STEPS) for name, sample in peers.items()}
    with torch.inference_mode():
        rows = side_by_side(runs, given.rounds, scale=1e6, twice=True)
    part = Part(
        f"Overhead per evaluation, batch {given.batch}",
        "Sampling in 18 steps with a network that does nothing, images of 3x32x32. The first bare "
        "loop keeps the state in float64; the second, the zoo's solvers and other libraries in "
        "float32. Of two runs in a row the second is timed.",
        "us per evaluation",
        rows,
        "at most 50 us for Heun and the multistep solvers" if given.batch == 16 else "",
        notes,
    )
    report([part], given.json)


if __name__ == "__main__":
    main()

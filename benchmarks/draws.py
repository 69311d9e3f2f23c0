"""Noise: gravity's perturbation and starting points against torch.randn of the same size.

    python benchmarks/draws.py [--rounds 15] [--batch 4096] [--json out.json]

Images of 3x32x32. A perturbation is x_t in float32 from given data and times. Starting points and
their reference are float64.
"""

from __future__ import annotations

import torch
from timing import Part, Run, arguments, report, side_by_side

import zoo

SHAPE = (3, 32, 32)
KERNELS = ("gravity", "pfgmpp", "gaussian", "tanh")


def main() -> None:
    given = arguments(__doc__, rounds=15, batch=4096)
    n = given.batch
    dim = 3 * 32 * 32
    data = torch.rand(n, *SHAPE) * 2 - 1
    levels = (torch.randn(n, dtype=torch.float64) * 1.2 - 1.2).exp()
    kernels = {name: zoo.kernel(name, dim=dim) for name in KERNELS}
    times = {name: kernel.time_at(levels) for name, kernel in kernels.items()}

    def perturbed(name: str) -> Run:
        def run() -> None:
            kernels[name].sample(data, times[name])

        return run

    def started(name: str) -> Run:
        prior = zoo.prior(name, kernels[name])

        def run() -> None:
            prior.sample(n, SHAPE)

        return run

    def normal(dtype: torch.dtype) -> Run:
        def run() -> None:
            torch.randn(n, *SHAPE, dtype=dtype)

        return run

    parts = []
    for title, make, dtype in (
        ("Perturbation x_t of data", perturbed, torch.float32),
        ("Starting points x_T", started, torch.float64),
    ):
        runs = {f"torch.randn, {dtype}".replace("torch.f", "f"): normal(dtype)}
        runs |= {f"zoo {name}": make(name) for name in KERNELS}
        rows = side_by_side(runs, given.rounds, scale=1e3)
        what = f"{n} draws of 3x32x32."
        parts.append(Part(title, what, "ms", rows, "gravity at most 1.25 times torch.randn"))
    report(parts, given.json)


if __name__ == "__main__":
    main()

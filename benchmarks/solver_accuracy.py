"""Error against evaluations on exact Gaussian data N(0, 0.25 I), noise level 80 -> 0.002.

The flow map is known in high dimension, where a sample of any self-similar kernel keeps its own
noise level s = c t: x(s) = x(S) sqrt((0.25 + s^2) / (0.25 + S^2)).

    python benchmarks/solver_accuracy.py [--kernels gaussian,gravity,tanh,exp] [--json out.json]

The error is the largest over coordinates and samples at the end, for unit-variance noise.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

import zoo
from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Flow, over

VARIANCE = 0.25
FIXED = ("heun", "rk4", "ab3", "ddim", "exp-heun", "exp-ab2", "exp-ab3", "exp-abm3")
FIXED_PEERS = ("torchdiffeq-midpoint", "torchdiffeq-rk4", "torchdiffeq-explicit_adams")
ADAPTIVE = ("dopri5", "torchdiffeq-dopri5", "torchdiffeq-bosh3")
PER_STEP = {"heun": 2, "rk4": 4, "exp-heun": 2, "torchdiffeq-midpoint": 2, "torchdiffeq-rk4": 4}


def problem(kernel: FieldKernel, n: int) -> tuple[Flow, Tensor, Tensor]:
    """Return the exact flow of n samples, their start and their end."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(n, kernel.dim, generator=generator, dtype=torch.float64)
    start = kernel.sample(torch.zeros_like(noise), kernel.t_max, generator)
    own = start.square().mean(dim=1).sqrt() / kernel.t_max  # the sample's c in s = c t
    level = own if kernel.random_level else torch.ones_like(own)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        rows = level if flow.rows is None else level[flow.rows]
        return x * VARIANCE / (VARIANCE + over(rows * t, x).square())

    flow = Flow(kernel, denoise, dtype=torch.float64)
    first, last = (over(level * t, start).square() for t in (kernel.t_max, kernel.t_min))
    x = start * ((VARIANCE + first) / first).sqrt()
    return flow, x, x * ((VARIANCE + last) / (VARIANCE + first)).sqrt()


def measure(name: str, kernel: FieldKernel, steps: int, **options: float) -> tuple[int, float]:
    """Return (evaluations, largest error)."""
    flow, x, expected = problem(kernel, 16)
    solver = zoo.solver(name, **options)
    result = solver.integrate(flow, x, kernel.t_max, kernel.t_min, steps=steps)
    return flow.nfe, float((result - expected).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", default="gaussian,gravity,tanh,exp")
    parser.add_argument("--dim", type=int, default=784)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for kernel_name in arguments.kernels.split(","):
        kernel = zoo.kernel(kernel_name, dim=arguments.dim)
        runs = [
            (name, evaluations // PER_STEP.get(name, 1), {})
            for name in (*FIXED, *FIXED_PEERS)
            for evaluations in (18, 36)
        ] + [
            (name, 18, {"rtol": tolerance, "atol": tolerance})
            for name in ADAPTIVE
            for tolerance in (1e-3, 1e-5)
        ]
        for name, steps, options in runs:
            try:
                evaluations, error = measure(name, kernel, steps, **options)
            except ZooError as problem_met:
                print(f"{kernel_name:9s} {name:28s} {problem_met}")
                continue
            rows.append({"kernel": kernel_name, "solver": name, "nfe": evaluations, "error": error})
            print(f"{kernel_name:9s} {name:28s} nfe {evaluations:4d}  error {error:.1e}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

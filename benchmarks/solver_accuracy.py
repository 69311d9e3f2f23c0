"""Error against evaluations on exact fields, noise level 80 to 0.002: see solver_problems.

    python benchmarks/solver_accuracy.py --json docs/solvers.json
    python benchmarks/solver_accuracy.py --problems garments --kernels gaussian,gravity

Errors are endpoint errors: the largest over samples and coordinates, and of the root mean square
over coordinates the largest and the mean over samples; for data sets also the share of samples that
end on the same source as the converged ones. Evaluations are per sample, the last denoising among
them.
Peers (k-diffusion) are measured where they are installed, under the Gaussian kernel.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from solver_problems import Problem, make

import zoo
from zoo.errors import ZooError

FIXED = ("heun", "exp-ab3", "exp-abm3", "exp-abm4")
MORE_FIXED = (
    "ab3",
    "exp-ab2",
    "euler",
    "rk4",
    "ddim",
    "exp-heun",
    "torchdiffeq-midpoint",
    "torchdiffeq-rk4",
)
# The focus grid for data without shape: dense where the noise falls below their spread.
WIDE = {"grid": {"use": "focus", "pivot": 0.07, "width": 2.0}}
PER_STEP = {"heun": 2, "rk4": 4, "exp-heun": 2, "torchdiffeq-midpoint": 2, "torchdiffeq-rk4": 4}
ADAPTIVE: dict[str, tuple[float, ...]] = {
    "exp-adaptive": (1e-2, 5e-3),
    "dopri5": (1e-4,),
    "torchdiffeq-dopri5": (1e-3, 3e-4, 1e-4),
}
KERNELS = {
    "gaussian": "gaussian,gravity,pfgmpp,tanh,exp",
    "mixture": "gaussian,gravity,pfgmpp,tanh,exp,vp,flow",
    "garments": "gaussian,gravity",
}
BUDGETS = {
    "gaussian": (18, 36),
    "mixture": (12, 18, 36),
    "garments": (12, 16, 20, 35),
}


def settings(problem: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield (solver, evaluations or 0 for adaptive ones, options)."""
    names = FIXED if problem == "garments" else (*FIXED, *MORE_FIXED)
    for name in names:
        for budget in BUDGETS[problem]:
            yield name, budget, {}
    for budget in BUDGETS[problem]:
        yield "exp-ab3", budget, {"grid": "edm"}
        if problem == "gaussian":
            yield "exp-abm3", budget, WIDE
            yield "exp-abm4", budget, WIDE
    for name, tolerances in ADAPTIVE.items():
        for tol in tolerances:
            yield name, 0, {"tol": tol} if name == "exp-adaptive" else {"rtol": tol, "atol": tol}


def measured(problem: Problem) -> Iterator[dict[str, Any]]:
    """Yield one result after the other."""
    for name, budget, options in settings(problem.name):
        steps = max(1, (budget - 1) // PER_STEP.get(name, 1)) if budget else 18
        try:
            got = problem.integrate(zoo.solver(name, **options), steps)
        except ZooError as error:
            print(f"{name} {options}: {error}")
            continue
        found = {"solver": name, "options": options, "nfe": problem.evaluations}
        yield {**found, **problem.measure(got)}
    yield from peers(problem)


def peers(problem: Problem) -> Iterator[dict[str, Any]]:
    """Yield the results of k-diffusion on its own grid, rho = 7, under the Gaussian kernel."""
    if not (problem.kernel.part and problem.kernel.part.use == "gaussian"):
        return
    try:
        from k_diffusion import sampling
    except ImportError:
        return
    for name, per_step in (("heun", 2), ("dpmpp_2m", 1), ("lms", 1)):
        for budget in BUDGETS[problem.name]:
            flow = problem.flow()
            sigmas = sampling.get_sigmas_karras((budget + per_step - 1) // per_step, 0.002, 80.0)
            with torch.inference_mode():
                got = getattr(sampling, f"sample_{name}")(
                    lambda x, sigma, flow=flow: flow.denoise(x, sigma.clamp(0.002, 80.0)),
                    problem.start.clone(),
                    sigmas.double(),
                    disable=True,
                )
            found = {"solver": f"k-diffusion {name}", "options": {}, "nfe": problem.evaluations}
            yield {**found, **problem.measure(got)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", default="gaussian,mixture,garments")
    parser.add_argument("--kernels", help="those of each problem if not given")
    parser.add_argument("-n", type=int, default=64, help="trajectories")
    parser.add_argument("--dim", type=int, default=784, help="of the Gaussian data")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in arguments.problems.split(","):
        for kernel in (arguments.kernels or KERNELS[name]).split(","):
            for found in measured(make(name, kernel, arguments.n, arguments.dim)):
                row = {"problem": name, "kernel": kernel, **found}
                rows.append(row)
                label = " ".join([row["solver"], *(f"{k}={v}" for k, v in row["options"].items())])
                share = f"  same {row['same_source']:.3f}" if "same_source" in row else ""
                print(
                    f"{name:9s} {kernel:9s} {label:38s} nfe {row['nfe']:6.1f}  largest "
                    f"{row['largest_error']:.1e}  of a sample {row['worst_sample']:.1e}  mean "
                    f"{row['mean_error']:.1e}{share}",
                    flush=True,
                )
    if arguments.json:
        machine = {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "trajectories": arguments.n,
        }
        arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""The exact field of a data set against the two matrix products that it needs.

    python benchmarks/exact_field.py [--rounds 5] [--sources 60000] [--json out.json]

x has the size of Fashion-MNIST: random numbers cost the same. The products are those of the
states with all sources (for the distances) and of the weights with all sources (for the mean),
each in one call. Memory is the peak of the process beyond torch and the data, in a separate run
without the products.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from timing import Part, Run, arguments, report, side_by_side
from torch import Tensor

import zoo

DIM = 784
BATCH = 256
KERNELS = ("gravity", "gaussian", "vp", "tanh")


def data_of(sources: int) -> Tensor:
    return torch.rand(sources, DIM, generator=torch.Generator().manual_seed(0)) * 2 - 1


def evaluated(name: str, data: Tensor, x: Tensor) -> Run:
    kernel = zoo.kernel(name, dim=DIM)
    network = zoo.exact(kernel, data).network
    t = torch.full((len(x),), float(kernel.time_at(2.0)), dtype=torch.float64)

    def run() -> None:
        network(x, t)

    return run


def resident_mb(field: str) -> float:
    """Return VmRSS, what the process holds, or VmHWM, the most that it held since last cleared."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in status if line.startswith(field))


def memory(name: str, sources: int) -> None:
    """Print the peak memory of a model and an evaluation in MB, beyond that before."""
    data = data_of(sources)
    x = 2 * torch.randn(BATCH, DIM)
    torch.mm(x, data[:BATCH].T)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of making the data
    before = resident_mb("VmRSS")
    with torch.inference_mode():
        evaluated(name, data, x)()
    print(resident_mb("VmHWM") - before)


def main() -> None:
    given = arguments(__doc__, rounds=5, sources=60_000)
    data = data_of(given.sources)
    x = 2 * torch.randn(BATCH, DIM)
    weights = torch.rand(BATCH, given.sources)

    def products() -> None:
        torch.mm(x, data.T)
        torch.mm(weights, data)

    runs: dict[str, Run] = {"two matrix products": products}
    runs |= {f"zoo.exact, {name}": evaluated(name, data, x) for name in KERNELS}
    with torch.inference_mode():
        rows = side_by_side(runs, given.rounds, scale=1e3)
    notes = []
    for name in KERNELS:
        call = f"import exact_field; exact_field.memory({name!r}, {given.sources})"
        done = subprocess.run(
            [sys.executable, "-c", call],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        notes.append(f"{name}: {float(done.stdout):.0f} MB beyond torch and the data")
    part = Part(
        "Exact field",
        f"One evaluation at {BATCH} states, {given.sources} sources of {DIM} coordinates.",
        "ms",
        rows,
        "at most 1.43 times the products (70 % of their speed), memory within 1 GB",
        notes,
    )
    report([part], given.json)


if __name__ == "__main__":
    main()

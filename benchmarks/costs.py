"""What a model is asked, as multiples of sample(16), and `sample` without a network.

    python benchmarks/costs.py [--rounds 5] [--json out.json]

`FieldModel.sample` with a network that does nothing, beside a loop of Heun's method as one would
write it; then the bundled models of 8x8 digits and 28x28 garments at their default options, and the
likelihood of the same network by flow_matching and k-diffusion, where they are installed: dopri5 at
their default tolerances, and one probe, where the zoo has 8. (azula 0.11 has no likelihood.) One
thread.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from timing import Part, Run, arguments, report, side_by_side
from torch import Tensor, nn

import zoo
from zoo.interfaces import Network

SHAPE, STEPS = (3, 32, 32), 18


def likelihood_by_flow_matching(model: zoo.FieldModel, x: Tensor) -> dict[str, Run]:
    """Return the same likelihood by flow_matching, with s = 1 - log(t / t_min) / log(range)."""
    try:
        from flow_matching.solver import ODESolver
        from flow_matching.utils import ModelWrapper
    except ImportError:
        return {}
    kernel = model.kernel
    span = math.log(kernel.t_max / kernel.t_min)

    class Velocity(ModelWrapper):
        def forward(self, x: Tensor, t: Tensor, **_: object) -> Tensor:
            at = kernel.t_min * torch.exp((1 - t.float()).clamp(0, 1) * span)
            at = at.clamp(kernel.t_min, kernel.t_max).expand(len(x))
            d = model.network(x, at)
            return -span * (x - d)  # gravity's (x - D) / t, times dt/ds

    solver = ODESolver(Velocity(model.network))

    def run() -> None:
        solver.compute_likelihood(
            x_1=x,
            log_p0=lambda end: model.prior.log_density(end.double()),
            step_size=None,
            method="dopri5",
        )

    return {"log likelihood of one by flow_matching, one probe": run}


def likelihood_by_k_diffusion(model: zoo.FieldModel, x: Tensor) -> dict[str, Run]:
    """Return the same again: its field (x - D) / sigma is gravity's too."""
    try:
        from k_diffusion.sampling import log_likelihood
    except ImportError:
        return {}
    low, high = model.kernel.t_min, model.kernel.t_max

    def run() -> None:
        log_likelihood(model.network, x, low, high)

    return {"log likelihood of one by k-diffusion, one probe": run}


def asked(name: str, what: str, rounds: int, goal: str) -> Part:
    """Return the costs of a bundled model, in multiples of sample(16)."""
    model = zoo.load(name)
    x = model.sample(16, seed=1)
    runs: dict[str, Run] = {
        "sample(16)": lambda: (model.sample(16, seed=1), None)[1],
        "sample(1)": lambda: (model.sample(1, seed=1), None)[1],
        "log_prob of one": lambda: (model.log_prob(x[:1]), None)[1],
        "encode of 16": lambda: (model.encode(x), None)[1],
        **likelihood_by_flow_matching(model, x[:1]),
        **likelihood_by_k_diffusion(model, x[:1]),
    }
    rows = side_by_side(runs, rounds, scale=1.0, digits=3)
    return Part(f"Cost of what {what} is asked", f"{name}, one thread.", "s", rows, goal)


class Null(Network):
    """A network of float32 that returns what it is shown."""

    predicts = "denoised"
    sigma_data = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))  # its dtype is that of the state

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return x_t."""
        del t, labels
        return x_t


def bare_heun(x: Tensor, times: list[float]) -> int:
    """EDM's algorithm 1 as one would write it, in float32."""
    null = Null()
    evaluations = 0
    for t, t_next in pairwise(times):
        d = (x - null(x, torch.tensor(t))) / t
        ahead = x + (t_next - t) * d
        d_next = (ahead - null(ahead, torch.tensor(t_next))) / t_next
        x = x + (t_next - t) * (d + d_next) / 2
        evaluations += 2
    x = null(x, torch.tensor(times[-1]))
    return evaluations + 1


def whole_path(rounds: int) -> Part:
    """Return the time of `sample` per evaluation, beyond that of a network that takes none."""
    kernel = zoo.kernel("gaussian", dim=math.prod(SHAPE))
    solver = zoo.solver("heun")
    prior = zoo.prior("gaussian", kernel)
    model = zoo.FieldModel(kernel, prior, Null(), solver, SHAPE)
    times = solver.times(kernel, kernel.t_max, kernel.t_min, STEPS - 1).tolist()

    def bare() -> int:
        generator = torch.Generator().manual_seed(0)
        return bare_heun(80 * torch.randn(16, *SHAPE, generator=generator), times)

    def whole() -> int:
        return model.trajectory(16, steps=STEPS, seed=0, keep=False).nfe

    with torch.inference_mode():
        rows = side_by_side({"bare Heun loop": bare, "sample": whole}, 20 * rounds, 1e6, twice=True)
    return Part(
        "`sample` with a network that does nothing",
        f"16 images of 3x32x32, Heun in {STEPS} steps, starting points included.",
        "us per evaluation",
        rows,
        "at most 60 us more than the network",
    )


def main() -> None:
    given = arguments(__doc__, rounds=5)
    torch.set_num_threads(1)
    parts = [
        whole_path(given.rounds),
        asked("gravity-digits", "a model of digits", given.rounds, "0.5, 25 and 25 at most"),
        asked("gravity-fashion-mnist", "a model of garments", given.rounds, "0.5, 20 and 25"),
    ]
    report(parts, given.json)


if __name__ == "__main__":
    main()

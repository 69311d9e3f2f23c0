"""Restore test garments whose left third is hidden, with trained networks, and with azula's MMPS.

python benchmarks/posterior_restore.py --json docs/posterior-garments.json [--garments 200]
    [--only gravity-fashion-mnist azula diffpir]

Rows that the file has are not measured again; --only names models, libraries or methods.
Coverage: the truth lies between the least and the largest of 19 answers in 90 % of the hidden
pixels, if it is one more answer. azula (`pip install azula`) wraps the denoiser of our Gaussian
network; both get the same y and the same evaluations of it. Times are of the processor, in turns.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import zoo
from zoo.data.sources import load
from zoo.evaluation.garments import load_garment_net
from zoo.files import replacing
from zoo.posterior import Mask
from zoo.sampling.rng import starting_points

ANSWERS, NOISE = 19, 0.05
EVALUATIONS = 20
SOLVER = "exp-abm3"
MODELS = ("gaussian-fashion-mnist", "gravity-fashion-mnist", "flow-fashion-mnist")
MMPS_ITERATIONS = 3
KEEP = torch.arange(28) >= 28 // 3
JOBS: tuple[dict[str, Any], ...] = (
    {"model": MODELS[0], "library": "zoo", "method": "mmps"},
    {"model": MODELS[0], "library": "azula", "method": "mmps", "iterations": MMPS_ITERATIONS},
    {"model": MODELS[0], "library": "both", "method": "timing"},
    {"model": MODELS[1], "library": "zoo", "method": "mmps"},
    *(
        {"model": MODELS[0], "library": "zoo", "method": method}
        for method in ("diffpir", "replacement", "pgdm", "dps")
    ),
    {"model": MODELS[2], "library": "zoo", "method": "mmps"},
    {"model": MODELS[0], "library": "azula", "method": "mmps", "iterations": 1},
)
TIMED, ROUNDS = 2, 3
# A pixel is that far from the next one.
_GREY = 2 / 255
# Standard deviation of the answers from which a pixel is open.
_OPEN = 0.05


def observed(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return truth, y and labels of so many test garments."""
    data = load("fashion-mnist", split="test")
    truth = data.batch(torch.arange(count))
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    assert data.labels is not None
    return truth, truth + NOISE * noise, data.labels[:count]


def facts(samples: Tensor, truth: Tensor, y: Tensor, labels: Tensor) -> dict[str, float]:
    """Return what answers (count, k, 1, 28, 28) are like."""
    hidden = samples[..., ~KEEP]
    low, high = hidden.amin(dim=1) - _GREY, hidden.amax(dim=1) + _GREY
    inside = (truth[..., ~KEEP] >= low) & (truth[..., ~KEEP] <= high)
    error = (samples - y[:, None])[..., KEEP]
    with torch.no_grad():
        classes = (
            load_garment_net()(samples.flatten(0, 1)).argmax(dim=1).unflatten(0, samples.shape[:2])
        )
        given = load_garment_net()(truth).argmax(dim=1)
    right = (classes == labels[:, None]).double().mean(dim=1)
    return {
        "coverage": float(inside.double().mean()),
        # Most hidden pixels are black in every answer, and in the truth.
        "coverage_where_open": float(inside[hidden.std(dim=1) > _OPEN].double().mean()),
        "consistency": float(error.square().mean().sqrt()) / NOISE,
        "class_right": float(right.mean()),
        "class_right_error": float(right.std()) / math.sqrt(len(right)),
        "class_right_of_truth": float((given == labels).double().mean()),
        "spread": float(hidden.std(dim=1).mean()),
        "rmse_of_mean": float((hidden.mean(dim=1) - truth[..., ~KEEP]).square().mean().sqrt()),
    }


def ours(count: int, name: str, method: str, **options: Any) -> dict[str, Any]:
    truth, y, labels = observed(count)
    model = zoo.load(name)
    posterior = model.posterior(
        y.repeat_interleave(ANSWERS, dim=0), Mask(KEEP), noise=NOISE, method=method, **options
    )
    begin = time.process_time()
    drawn = posterior.trajectory(
        count * ANSWERS, seed=0, steps=EVALUATIONS, solver=SOLVER, keep=False
    )
    seconds = time.process_time() - begin
    samples = drawn.samples.unflatten(0, (count, ANSWERS))
    return {
        "model": name,
        "library": "zoo",
        "garments": count,
        "method": method,
        **options,
        "nfe": drawn.nfe,
        "cpu_ms_per_evaluation": 1e3 * seconds / drawn.nfe / len(drawn.samples),
        **facts(samples, truth, y, labels),
    }


def azulas(count: int, iterations: int) -> dict[str, Any]:
    """Return azula's MMPS and its exponential multistep on our Gaussian network, same starts."""
    from azula.denoise import Denoiser, DiracPosterior
    from azula.guidance.mmps import MMPSDenoiser
    from azula.linalg.covariance import IsotropicCovariance
    from azula.noise import Schedule
    from azula.sample import xEABSampler

    truth, y, labels = observed(count)
    model = zoo.load(MODELS[0])

    class Grid(Schedule):
        """Noise levels of EDM's grid, from t = 1 down to 0."""

        def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
            low, high = (v ** (1 / 7) for v in (model.kernel.t_min, model.kernel.t_max))
            return torch.ones_like(t), (low + t * (high - low)) ** 7

    class Ours(Denoiser):
        schedule = Grid()

        def forward(self, x_t: Tensor, t: Tensor) -> DiracPosterior:
            _, sigma = self.schedule(t)
            return DiracPosterior(mean=model.network(x_t, sigma))

    y = torch.where(KEEP, y, 0)
    rows = y.repeat_interleave(ANSWERS, dim=0)
    starts = starting_points(model.prior, model.shape, 0, 0, len(rows)).float()
    parts = []
    begin = time.process_time()
    for part, start in zip(rows.split(16), starts.split(16), strict=True):
        conditioned = MMPSDenoiser(
            Ours(),
            part,
            lambda x: torch.where(KEEP, x, 0),
            IsotropicCovariance(torch.tensor(NOISE**2)),
            iterations=iterations,
        )
        sampler = xEABSampler(conditioned, steps=EVALUATIONS, silent=True)
        parts.append(sampler(start).clamp(-1, 1))
    seconds = time.process_time() - begin
    samples = torch.cat(parts).unflatten(0, (count, ANSWERS))
    return {
        "model": MODELS[0],
        "library": "azula",
        "garments": count,
        "method": "mmps",
        "iterations": iterations,
        "nfe": EVALUATIONS,
        "cpu_ms_per_evaluation": 1e3 * seconds / EVALUATIONS / len(rows),
        **facts(samples, truth, y, labels),
    }


def timing() -> dict[str, Any]:
    """Return milliseconds per evaluation of both MMPS, a pair per round, measured in turns."""
    key, rounds = "cpu_ms_per_evaluation", []
    for _ in range(ROUNDS):
        own = ours(TIMED, MODELS[0], "mmps", iterations=MMPS_ITERATIONS)
        rounds.append((own[key], azulas(TIMED, MMPS_ITERATIONS)[key]))
    return {"model": MODELS[0], "library": "both", "method": "timing", "rounds": rounds}


def measure(job: dict[str, Any], count: int) -> dict[str, Any]:
    """Return the row of a job."""
    if job["method"] == "timing":
        return timing()
    if job["library"] == "azula":
        return azulas(count, job["iterations"])
    return ours(count, job["model"], job["method"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--garments", type=int, default=200)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(options.json.read_text()) if options.json.exists() else []
    for job in JOBS:
        alike = job if job["method"] == "timing" else job | {"garments": options.garments}
        known = any(alike.items() <= row.items() for row in rows)
        if known or (options.only and not {*options.only} & {*map(str, job.values())}):
            continue
        rows.append(measure(job, options.garments))
        print(json.dumps(rows[-1]), flush=True)
        with replacing(options.json) as beside:
            beside.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()

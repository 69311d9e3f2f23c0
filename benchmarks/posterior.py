"""Measure how far methods of posterior sampling are from the exact posterior, under every kernel.

python benchmarks/posterior.py --json docs/posterior.json [--only problem=plane method=none,mmps]
python benchmarks/posterior_page.py

The field is the exact one of a finite data set, so the posterior is known: each data point has the
probability of its likelihood. Each y is made of a data point and drawn for several times. Rows that
the file has already are not measured again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

import zoo
from zoo.data.sources import load
from zoo.evaluation.intervals import from_mean
from zoo.files import replacing
from zoo.interfaces import Operator
from zoo.posterior import Downscale, Linear, Mask

KERNELS = ("gaussian", "gravity", "pfgmpp", "tanh", "exp", "flow", "lift")
# "mmps 10" takes up to 10 directions, not 3.
METHODS = ("none", "exact", "mmps", "mmps 10", "diffpir", "replacement", "pgdm", "dps")
NOISES = (0.2, 0.05)
POINTS = 4000
# Evaluations of the network; exp-abm3 takes one a step.
EVALUATIONS = (50, 20)
SOLVER = "exp-abm3"
DRAWS = 4


class Problem(NamedTuple):
    """A data set, what is seen of it, and how many y are made of it."""

    data: Tensor
    operators: dict[str, Operator]
    count: int


def plane() -> Problem:
    """4,000 points of eight Gaussians around a circle."""
    generator = torch.Generator().manual_seed(0)
    angle = torch.arange(POINTS) % 8 * (math.pi / 4)
    centres = torch.stack([angle.cos(), angle.sin()], dim=1)
    data = centres + 0.15 * torch.randn(POINTS, 2, generator=generator)
    operators: dict[str, Operator] = {
        "mask": Mask(torch.tensor([True, False])),
        "linear": Linear(torch.tensor([[0.8, 0.6]])),
    }
    return Problem(data, operators, 32)


def garments(size: int, count: int) -> Problem:
    """The first 4,000 training garments, 28x28 or 14x14, in [-1, 1]."""
    images = load("fashion-mnist").exact(torch.arange(POINTS)).float()
    images = images if size == images.shape[-1] else avg_pool2d(images, images.shape[-1] // size)
    keep = torch.arange(size) >= size // 3
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(32, size**2, generator=generator) / size
    operators: dict[str, Operator] = {
        "mask": Mask(keep),
        "downscale": Downscale(2 if size == 14 else 4),
        "linear": Linear(matrix),
    }
    return Problem(images, operators, count)


PROBLEMS = {
    "garments14": lambda: garments(14, 16),
    "plane": plane,
    "garments28": lambda: garments(28, 16),
}


class Truth:
    """The exact posterior of every y: probabilities of the data points.

    Attributes:
        y: (n, *out).
        p: (n, N).
        spread: E|X - X'| of two draws, (n,).
    """

    def __init__(self, data: Tensor, operator: Operator, noise: float, count: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.data, self.operator, self.noise = data, operator, noise
        index = torch.randperm(len(data), generator=generator)[:count]
        there = operator(data)
        self.y = there[index] + noise * torch.randn(there[index].shape, generator=generator)
        seen = operator.seen(tuple(data.shape[1:]))
        self.y = self.y if seen is None else self.y.where(seen, 0)
        self.count = int(seen.sum()) if seen is not None else there[0].numel()
        squares = torch.cdist(self.y.flatten(1).double(), there.flatten(1).double()).square()
        self.p = (-squares / (2 * noise**2)).softmax(dim=1)
        self.spread = torch.stack([self._spread(p) for p in self.p])

    def _spread(self, p: Tensor) -> Tensor:
        top = p.topk(min(2000, len(p)))
        x = self.data[top.indices].flatten(1).double()
        weights = top.values / top.values.sum()
        return weights @ torch.cdist(x, x) @ weights

    def distances(self, samples: Tensor) -> Tensor:
        """Return the energy distance of every y, (n,), per sqrt(d), of samples (n, DRAWS, *)."""
        x = samples.flatten(2).double()
        to = torch.cdist(x.flatten(0, 1), self.data.flatten(1).double()).unflatten(0, x.shape[:2])
        cross = (to * self.p[:, None]).sum(dim=2).mean(dim=1)
        own = torch.cdist(x, x).sum(dim=(1, 2)) / (DRAWS * (DRAWS - 1))
        return (2 * cross - own - self.spread) / math.sqrt(x.shape[2])

    def consistency(self, samples: Tensor) -> float:
        """Return the median of |y - A x| / (sigma sqrt m) over all samples.

        In the plane, where m = 1, over that of the truth: 0.67, the median of |N(0, 1)|.
        """
        there = self.operator(samples.flatten(0, 1)).unflatten(0, samples.shape[:2])
        size = (self.y[:, None] - there).flatten(2).norm(dim=2)
        median = float(size.median()) / (self.noise * math.sqrt(self.count))
        return median / 0.6745 if self.count == 1 else median

    def variation(self, samples: Tensor) -> float:
        """Return the total variation between shares and probabilities of points, over all y."""
        nearest = torch.cdist(samples.flatten(2).flatten(0, 1), self.data.flatten(1)).argmin(dim=1)
        shares = torch.zeros_like(self.p[0]).index_add_(
            0, nearest, torch.full((len(nearest),), 1 / len(nearest), dtype=self.p.dtype)
        )
        return float((shares - self.p.mean(dim=0)).abs().sum() / 2)


def model_of(kernel: str, data: Tensor) -> zoo.FieldModel:
    """Return the exact model; "lift" is gravity on the Gaussian one."""
    if kernel == "lift":
        return zoo.lift(zoo.exact("gaussian", data), "gravity")
    return zoo.exact(kernel, data)


def settings(only: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what is measured, the most telling first; `only` is such as "method=none,mmps"."""
    names = ("noise", "nfe", "problem", "operator", "kernel", "method")
    operators = ("mask", "downscale", "linear")
    wanted = dict(part.split("=") for part in only)
    for values in product(NOISES, EVALUATIONS, PROBLEMS, operators, KERNELS, METHODS):
        setting = dict(zip(names, values, strict=True))
        if any(str(setting[key]) not in wanted[key].split(",") for key in wanted):
            continue
        if setting["problem"] == "plane" and setting["operator"] == "downscale":
            continue
        if setting["method"] == "mmps 10" and (
            setting["problem"] == "plane" or setting["nfe"] < 50
        ):
            continue
        yield setting


@cache
def problem_of(name: str) -> Problem:
    return PROBLEMS[name]()


@lru_cache(maxsize=2)
def truth_of(name: str, operator: str, noise: float) -> Truth:
    problem = problem_of(name)
    return Truth(problem.data, problem.operators[operator], noise, problem.count)


def measure(setting: dict[str, Any]) -> dict[str, Any]:
    problem = problem_of(setting["problem"])
    data, operator = problem.data, problem.operators[setting["operator"]]
    truth = truth_of(setting["problem"], setting["operator"], setting["noise"])
    model = model_of(setting["kernel"], data)
    if setting["method"] != "none":
        y = truth.y.repeat_interleave(DRAWS, dim=0)
        name, *directions = setting["method"].split()
        options = {"iterations": int(directions[0])} if directions else {}
        model = model.posterior(y, operator, noise=setting["noise"], method=name, **options)
    begin = time.perf_counter()
    drawn = model.trajectory(
        problem.count * DRAWS, seed=0, steps=setting["nfe"], solver=SOLVER, keep=False
    )
    seconds = time.perf_counter() - begin
    samples = drawn.samples.unflatten(0, (problem.count, DRAWS))
    found = from_mean(truth.distances(samples))
    return {
        **setting,
        "distance": found.value,
        "low": found.low,
        "high": found.high,
        "consistency": truth.consistency(samples),
        "variation": truth.variation(samples),
        "ms_per_evaluation": 1e3 * seconds / drawn.nfe / len(drawn.samples),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], metavar="KEY=VALUE,...")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(options.json.read_text()) if options.json.exists() else []
    for setting in settings(options.only):
        if any(setting.items() <= row.items() for row in rows):
            continue
        rows.append(measure(setting))
        print(json.dumps(rows[-1]), flush=True)
        with replacing(options.json) as beside:
            beside.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()

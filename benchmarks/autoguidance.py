"""Autoguidance at equal total evaluations: the distance of samples guided by a worse model.

python benchmarks/autoguidance.py MODEL GUIDE -n 1000 --evaluations 20

Both networks count. Steps of a guided walk are the most that the evaluations allow.
"""

from __future__ import annotations

import argparse

import torch

import zoo
from zoo.evaluation.features import build
from zoo.evaluation.metrics import METRICS, with_features
from zoo.evaluation.reference import open_reference

WAYS: list[tuple[float, tuple[float, float] | None]] = [
    (1.0, None),
    (1.25, None),
    (1.5, (0.2, 2.0)),
    (1.5, None),
    (1.25, (0.2, 2.0)),
    (2.0, (0.2, 2.0)),
]


def counted(network: torch.nn.Module) -> list[int]:
    """Return a list that grows by the rows of every call of a network."""
    rows: list[int] = []
    network.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    return rows


def main() -> None:
    """Print a line for each weight and interval."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("guide")
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--ways", type=int, nargs="*", default=[*range(len(WAYS))])
    asked = parser.parse_args()
    model, guide = zoo.load(asked.model), zoo.load(asked.guide)
    reference = open_reference("fashion-mnist", model.shape, build("garments", model.shape, "cpu"))
    calls = [counted(m.network) for m in (model, guide)]

    def draw(n: int, steps: int, way: int) -> tuple[torch.Tensor, float]:
        weight, interval = WAYS[way]
        options = {"guide": guide, "guidance": weight, "guidance_interval": interval}
        options = {} if weight == 1.0 else options
        for each in calls:
            each.clear()
        x = model.sample(n, seed=0, steps=steps, **options)
        tiles = -(-n // 16) * 16
        return x, sum(map(sum, calls)) / tiles

    for way in asked.ways:
        steps = asked.evaluations
        while steps > 2 and draw(16, steps, way)[1] > asked.evaluations:
            steps -= 1
        x, evaluations = draw(asked.n, steps, way)
        samples = with_features(x, reference)
        metric = METRICS["frechet"]
        found = metric.figures(metric.rows(samples, reference), reference)
        weight, interval = WAYS[way]
        print(
            f"guidance {weight:g} at {interval or 'all levels'}: {steps} steps, {evaluations:.1f} "
            f"evaluations, {found}",
            flush=True,
        )


if __name__ == "__main__":
    main()

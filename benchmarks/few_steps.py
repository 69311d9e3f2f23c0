"""Few evaluations: students, solvers and other libraries, by their distance over that of 20.

    python benchmarks/few_steps.py RUNS [--kernels gravity gaussian pfgmpp] [--evaluations 5 8]
        [--learned gravity] [--minutes 14.5] [-n 10000] [--rivals 2000] [--seed 1000]

Of each kernel's garments: trains a student for each number of evaluations (`zoo distill`, seed 0,
bf16, so many minutes) where RUNS has none, KERNEL-N; draws n samples of it and of its teacher in 20
evaluations, from the same starts, which no student was trained on; and as many of --rivals by
`exp-abm3` and `ipndm`, by a solver learned in ten minutes (`zoo tune --learn both`; of kernels
--learned), and on the Gaussian network by UniPC (order 3) and DPM-Solver++ 3M of
diffusers, on Karras' levels. Keeps the features of every set of samples in RUNS, so that what was
stopped goes on. Writes Frechet distances on garment features, and their ratios to the teacher's
samples from the same starts with the 95 % interval of the jackknife that leaves out the same
samples of both, to docs/few-steps.json, and prints them as the table of docs/solvers.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from comparison import read, update
from comparison_page import shown, table
from paired import frechet_ratio
from torch import Tensor

import zoo
from zoo.evaluation import features
from zoo.evaluation.intervals import Estimate
from zoo.evaluation.learn import learn_solver
from zoo.evaluation.metrics import METRICS, Samples, measure, with_features
from zoo.evaluation.reference import Reference, open_reference
from zoo.evaluation.report import machine, versions
from zoo.interfaces import Solver
from zoo.sampling.rng import starting_points

FILE = Path(__file__).parents[1] / "docs" / "few-steps.json"
GARMENTS = "fashion-mnist"
KERNELS = ("gravity", "gaussian", "pfgmpp")
HIGH, LOW, BATCH = 80.0, 0.002, 128
ORDER = ("the teacher", "a student", "learned", "exp-abm3", "ipndm", "UniPC", "DPM-Solver++ 3M")


def student(
    teacher: zoo.FieldModel, folder: Path, evaluations: int, minutes: float
) -> zoo.FieldModel:
    """Return a student, which is trained where its folder does not exist."""
    if not (folder / "config.json").exists():
        made = zoo.distill(teacher, evaluations=evaluations, minutes=minutes, precision="bf16")
        made.save_pretrained(folder, dtype="float16")
    return zoo.load(f"path:{folder.resolve()}")


def learned(teacher: zoo.FieldModel, file: Path, evaluations: int) -> Solver:
    """Return a solver that is learned for a model, where its file does not exist."""
    if not file.exists():
        part = learn_solver(teacher, steps=evaluations, progress=True).solver.part
        assert part is not None
        file.write_text(json.dumps(part.options))
    return zoo.solver("learned", **json.loads(file.read_text()))


@torch.no_grad()
def by_diffusers(model: zoo.FieldModel, name: str, evaluations: int, n: int, seed: int) -> Tensor:
    """Return samples of a Gaussian model by a scheduler of diffusers, from the model's starts."""
    walk = _unipc if name == "UniPC" else _dpm_solver
    drawn = []
    for first in range(0, n, BATCH):
        last = min(first + BATCH, n)
        x = starting_points(model.prior, model.shape, seed, first, last).float()
        drawn.append(walk(model, x, evaluations))
    return model.in_range(torch.cat(drawn))


def _unipc(model: zoo.FieldModel, x: Tensor, evaluations: int) -> Tensor:
    from diffusers import UniPCMultistepScheduler

    scheduler = UniPCMultistepScheduler(
        prediction_type="sample",
        solver_order=3,
        use_karras_sigmas=True,
        sigma_min=LOW,
        sigma_max=HIGH,
    )
    scheduler.set_timesteps(evaluations)
    x = x / (1 + HIGH**2) ** 0.5  # its states are 1 / sqrt(1 + sigma^2) times ours
    for sigma, t in zip(scheduler.sigmas.tolist(), scheduler.timesteps, strict=False):
        denoised = model.denoise(x * (1 + sigma**2) ** 0.5, sigma)
        x = scheduler.step(denoised, t, x).prev_sample
    return x


def _dpm_solver(model: zoo.FieldModel, x: Tensor, evaluations: int) -> Tensor:
    from diffusers import EDMDPMSolverMultistepScheduler

    size = 0.5
    scheduler = EDMDPMSolverMultistepScheduler(
        sigma_min=LOW, sigma_max=HIGH, sigma_data=size, solver_order=3
    )
    scheduler.set_timesteps(evaluations)
    for sigma, t in zip(scheduler.sigmas.tolist(), scheduler.timesteps, strict=False):
        # It asks for what EDM's network says, of which the denoiser is made again.
        root = (sigma**2 + size**2) ** 0.5
        output = (model.denoise(x, sigma) - (size / root) ** 2 * x) / (sigma * size / root)
        x = scheduler.step(output, t, x).prev_sample
    return x


def kept(file: Path, draw: Callable[[], Tensor], reference: Reference) -> Samples:
    """Return the samples of a file, which are drawn where it does not exist."""
    if not file.exists():
        found = with_features(draw(), reference)
        part = file.with_suffix(".part")
        torch.save(found.features, part)
        part.replace(file)
    known = torch.load(file, weights_only=True)
    return Samples(known.new_zeros(len(known), 0), known)


def figures(found: Estimate) -> tuple[float, float, float]:
    """Return a figure and the ends of its interval."""
    return found.value, found.low, found.high


def measured(kernel: str, given: argparse.Namespace, reference: Reference) -> list[dict[str, Any]]:
    """Return a record per setting of a kernel's garments."""
    teacher = zoo.load(f"{kernel}-{GARMENTS}")
    records: list[dict[str, Any]] = []

    def record(how: str, nfe: int, n: int, draw: Callable[[], Tensor]) -> Samples:
        samples = kept(given.runs / f"{kernel}-{how}-{nfe}-{n}-{given.seed}.pt", draw, reference)
        of = Samples(base.images[:n], base.features[:n]) if records else samples
        distance = figures(measure(METRICS["frechet"], [samples], reference)["frechet"])
        ratio = figures(frechet_ratio(samples, of, reference))
        records.append(
            {
                "kernel": kernel,
                "solver": how,
                "nfe": nfe,
                "samples": n,
                "frechet": distance,
                "ratio": ratio,
            }
        )
        print(
            kernel,
            how,
            nfe,
            n,
            f"{distance[0]:.2f}",
            "ratio {:.3f} ({:.3f} to {:.3f})".format(*ratio),
            flush=True,
        )
        return samples

    n, few, seed = given.n, given.rivals, given.seed
    drawn = partial(teacher.sample, few, seed=seed)
    base = record(ORDER[0], teacher.steps, n, partial(teacher.sample, n, seed=seed))
    for nfe in given.evaluations:
        made = student(teacher, given.runs / f"{kernel}-{nfe}", nfe, given.minutes)
        record(ORDER[1], nfe, n, partial(made.sample, n, seed=seed))
        if kernel in given.learned:
            solver = learned(teacher, given.runs / f"{kernel}-learned-{nfe}.json", nfe)
            record(ORDER[2], nfe, few, partial(drawn, solver=solver, steps=nfe))
        for name in ORDER[3:5]:
            record(name, nfe, few, partial(drawn, solver=name, steps=nfe))
        for name in ORDER[5:] if kernel == "gaussian" else ():
            record(name, nfe, few, partial(by_diffusers, teacher, name, nfe, few, seed))
    return records


def page(records: list[dict[str, Any]]) -> str:
    """Return the records as a table in Markdown."""
    rows = [
        [
            r["kernel"],
            str(r["nfe"]),
            r["solver"],
            f"{r['samples']:,}",
            shown(dict(zip(("value", "low", "high"), r["frechet"], strict=True))),
            "1" if r["solver"] == ORDER[0] else "{:.3f} ({:.3f} to {:.3f})".format(*r["ratio"]),
        ]
        for r in records
    ]
    return table(rows, ["kernel", "NFE", "by", "samples", "distance", "ratio to its teacher"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, help="folder of students and features")
    parser.add_argument("--kernels", nargs="*", default=KERNELS, choices=KERNELS)
    parser.add_argument("--evaluations", type=int, nargs="*", default=[5, 8])
    parser.add_argument("--learned", nargs="*", default=["gravity"], help="kernels")
    parser.add_argument("--minutes", type=float, default=14.5)
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--rivals", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1000)
    given = parser.parse_args()
    given.runs.mkdir(parents=True, exist_ok=True)
    shape = (1, 28, 28)
    kind = features.build("garments", shape, torch.device("cpu"))
    reference = open_reference(GARMENTS, shape, kind)
    facts = {"machine": machine("cpu"), "versions": versions(), "minutes": given.minutes}
    for kernel in given.kernels:
        new = measured(kernel, given, reference)

        def with_new(
            old: dict[str, Any], kernel: str = kernel, new: list[dict[str, Any]] = new
        ) -> dict[str, Any]:
            records = [r for r in old.get("records", []) if r["kernel"] != kernel]
            records = sorted(records + new, key=lambda r: KERNELS.index(r["kernel"]))
            return {**facts, "records": records}

        update(FILE, with_new)
    print(page(read(FILE).get("records", [])))


if __name__ == "__main__":
    main()

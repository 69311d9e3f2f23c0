"""Every shipped Fashion-MNIST model under one protocol: writes docs/comparison.md and its plots.

    python benchmarks/comparison.py [-n 2000] [--seeds 3] [--models PATTERN] [--page]

Distance against evaluations for Euler, Heun and exp-abm3, then robustness: noise after each step,
weights of few bits. Each outcome goes into docs/comparison.json as soon as it is there, so an
interrupted run goes on where it stopped, a model that arrives later costs itself alone, and several
runs, each with --models of its own, share the work. --page only writes page and plots again. Needs
Fashion-MNIST, as `zoo train` does.
"""

from __future__ import annotations

import argparse
import json
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
import torch
from comparison_page import write_page
from filelock import FileLock

import zoo
from zoo.evaluate import features
from zoo.evaluate.reference import Reference, open_reference
from zoo.evaluate.report import Outcome, Setting, machine, versions
from zoo.evaluate.run import Job, disturbed, outcome, sweep, training_scores
from zoo.model import FieldModel

DOCS = Path(__file__).parent.parent / "docs"
DATA = "fashion-mnist"
METRICS = ("frechet", "kid", "prdc")
SWEEP = {"exp-abm3": (9, 6, 18), "heun": (9, 17, 35), "euler": (9, 18, 35)}
# Noise interrupts each step, which a multistep method does not survive; weights do not care.
NOISE, NOISE_AT = (0.1, 0.2), ("heun", 17)
BITS, BITS_AT = (8, 6, 5), ("exp-abm3", 9)


def models() -> dict[str, FieldModel]:
    """Return the unconditional models of the data."""
    found = {name: zoo.load(name) for name in zoo.list_models(f"*-{DATA}")}
    return {name: model for name, model in found.items() if not model.network.labels}


def settings(model: FieldModel) -> list[Setting]:
    """Return what is measured of a model."""
    plain = [s for name, budgets in SWEEP.items() for s in sweep(model, [name], budgets)]
    noisy = disturbed(sweep(model, [NOISE_AT[0]], [NOISE_AT[1]]), NOISE, ())
    coarse = disturbed(sweep(model, [BITS_AT[0]], [BITS_AT[1]]), (), BITS)
    return [*plain, *noisy, *coarse]


def key(name: str, model: FieldModel, job: Job, setting: Setting) -> str:
    """Return what an outcome is of, as text: other weights or samples are another outcome."""
    assert model.config is not None
    hashes = [file.sha256[:16] for file in model.config.weights.files.values()]
    facts = [name, hashes, job.samples, list(job.seeds), msgspec.to_builtins(setting)]
    return json.dumps(facts)


def read(path: Path) -> dict[str, dict[str, object]]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write(path: Path, found: dict[str, object]) -> None:
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def add(path: Path, facts: dict[str, object], outcomes: dict[str, object]) -> None:
    """Put outcomes beside those that are there, which another run may have added meanwhile."""
    with FileLock(f"{path}.lock"):
        write(path, facts | {"outcomes": read(path).get("outcomes", {}) | outcomes})


def drop_stale(path: Path, keys: set[str]) -> None:
    """Forget outcomes of other weights, samples or settings than those of `keys`."""
    with FileLock(f"{path}.lock"):
        found = read(path)
        kept = {k: v for k, v in found.get("outcomes", {}).items() if k in keys}
        write(path, found | {"outcomes": kept})


def measure(job: Job, reference: Reference, path: Path, pattern: str) -> None:
    """Fill docs/comparison.json setting by setting, cheap ones first, so that all have those."""
    wanted = [(n, m, s) for n, m in models().items() for s in settings(m)]
    wanted.sort(key=lambda item: (item[2].nfe, not item[2].plain))
    drop_stale(path, {key(n, m, job, s) for n, m, s in wanted})
    facts = {
        "samples": job.samples,
        "seeds": list(job.seeds),
        "training_images": training_scores(job, reference),
        "machine": machine("cpu"),
        "versions": versions(),
    }
    for name, model, setting in wanted:
        entry = key(name, model, job, setting)
        if not fnmatchcase(name, pattern) or entry in read(path).get("outcomes", {}):
            continue
        print(name, setting, flush=True)
        found: Outcome = outcome(model, setting, job, reference)[0]
        add(path, facts, {entry: {"model": name, **msgspec.to_builtins(found)}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=2000, dest="samples")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", default="*", help="measure only these, a shell pattern")
    parser.add_argument("--page", action="store_true", help="only write page and plots again")
    parser.add_argument("--docs", type=Path, default=DOCS)
    arguments = parser.parse_args()
    path = arguments.docs / "comparison.json"
    if not arguments.page:
        kind = features.build("garments", features.GREY, torch.device("cpu"))
        job = Job(METRICS, arguments.samples, tuple(range(arguments.seeds)))
        measure(job, open_reference(DATA, features.GREY, kind), path, arguments.models)
    write_page(read(path), arguments.docs)


if __name__ == "__main__":
    main()

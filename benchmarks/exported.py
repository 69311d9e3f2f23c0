"""64 garments by ONNX Runtime, from an exported sampler, against model.sample.

    python benchmarks/exported.py [--rounds 3] [--threads 2] [--json out.json]

Both have the same number of threads, and are loaded when the clock starts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from timing import Part, Row, Run, arguments, report, side_by_side

import zoo

MODEL, COUNT = "gravity-fashion-mnist", 64


def measured(folder: Path, rounds: int, threads: int) -> list[Row]:
    """Return the rows of model.sample and of a session of the sampler in a folder."""
    torch.set_num_threads(threads)
    model = zoo.load(MODEL)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)

    def sample() -> None:
        model.sample(COUNT, seed=0)

    def by_session(size: int) -> Run:
        def run() -> None:
            noise = model.prior.sample(COUNT, model.state_shape).numpy().astype(np.float32)
            for part in np.split(noise, COUNT // size):
                session.run(None, {"noise": part})

        return run

    runs: dict[str, Run] = {"model.sample": sample}
    runs |= {f"ONNX Runtime, {size} at a time": by_session(size) for size in (COUNT, 16)}
    return side_by_side(runs, rounds, scale=1, digits=2)


def main() -> None:
    given = arguments(__doc__, rounds=3, threads=2)
    with tempfile.TemporaryDirectory() as scratch:
        folder = zoo.export(MODEL, Path(scratch) / "sampler", what="sampler")
        rows = measured(folder, given.rounds, given.threads)
    what = f"{COUNT} samples of `{MODEL}`, {given.threads} threads each, 20 evaluations."
    report([Part("Exported sampler", what, "s", rows, "at most model.sample's time")], given.json)


if __name__ == "__main__":
    main()

"""kill -9 during `zoo train`, then --resume: the same weights, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zoo.train.loop import CHECKPOINT

RECIPE = """
name = "tiny"
[data]
use = "digits"
flip = true
[kernel]
use = "gravity"
[network]
use = "unet"
width = 8
blocks = 1
dropout = 0.1
labels = 10
[train]
images = 1_200
batch = 12
warmup = 120
precision = "{precision}"
checkpoint_every = 3
log_every = 5
"""


def train(recipe: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "zoo", "train", str(recipe), "-o", str(out), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def kill_at_some_checkpoint(process: subprocess.Popen[bytes], out: Path, after: float) -> None:
    """Kill the run a moment after it has written a checkpoint of its own."""
    path = out / CHECKPOINT
    before = path.stat().st_mtime_ns if path.exists() else None
    while process.poll() is None:
        if path.exists() and path.stat().st_mtime_ns != before:
            time.sleep(after)
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_killed_run_ends_on_the_weights_of_a_whole_one(tmp_path, precision):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.format(precision=precision))
    whole = train(recipe, tmp_path / "whole")
    chance = random.Random(0)
    for attempt in range(3):
        more = ["--resume"] if attempt else []
        process = train(recipe, tmp_path / "killed", *more)
        kill_at_some_checkpoint(process, tmp_path / "killed", after=chance.uniform(0, 0.2))
    assert train(recipe, tmp_path / "killed", "--resume").wait() == 0
    assert whole.wait() == 0
    for file in ("model.safetensors", "samples.png"):
        ends = [(tmp_path / run / "model" / file).read_bytes() for run in ("whole", "killed")]
        assert ends[0] == ends[1]

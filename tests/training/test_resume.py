"""kill -9 during `zoo train`, then --resume: the same weights, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from forked import fork, zoo_command
from tiny_recipe import CLASSES

from zoo.training import checkpoint
from zoo.training.trainer import CHECKPOINT

RECIPE = (
    CLASSES
    + """dropout = 0.1
[train]
images = 480
batch = 12
warmup = 120
precision = "{precision}"
checkpoint_every = 3
log_every = 5
"""
)


def train(recipe: Path, out: Path, *more: str) -> BaseProcess:
    return fork(zoo_command, "train", recipe, "-o", out, *more)


def status_of(process: BaseProcess) -> int | None:
    process.join()
    return process.exitcode


def kill_at_some_checkpoint(process: BaseProcess, out: Path, after: float) -> bool:
    """Kill the run a moment after it has written a checkpoint; tell if it had not ended before."""
    path = out / CHECKPOINT
    before = path.stat().st_mtime_ns if path.exists() else None
    while process.exitcode is None:
        if path.exists() and path.stat().st_mtime_ns != before:
            time.sleep(after)
            process.kill()
            break
        time.sleep(0.002)
    status = status_of(process)
    assert status in (0, -signal.SIGKILL)
    return status != 0


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_killed_run_ends_on_the_weights_of_a_whole_one(tmp_path, precision):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.format(precision=precision))
    whole = train(recipe, tmp_path / "whole")
    chance, killed = random.Random(0), []
    for attempt in range(3):
        more = ["--resume"] if attempt else []
        process = train(recipe, tmp_path / "killed", *more)
        after = chance.uniform(0, 0.2)
        killed.append(kill_at_some_checkpoint(process, tmp_path / "killed", after))
    assert killed[0]
    assert status_of(train(recipe, tmp_path / "killed", "--resume")) == 0
    assert status_of(whole) == 0
    for file in ("model.safetensors", "samples.png"):
        ends = [(tmp_path / run / "model" / file).read_bytes() for run in ("whole", "killed")]
        assert ends[0] == ends[1]


TOLD = """
name = "tiny"
[data]
use = "digits"
augment = 0.5
[kernel]
use = "gravity"
[network]
use = "ddpmpp"
width = 8
multipliers = [1, 1]
blocks = 1
attention = []
augment = 9
dropout = 0.1
[train]
images = 1_200
batch = 12
accumulate = 2
warmup = 120
checkpoint_every = 3
log_every = 5
validate_every = 300
"""


@pytest.mark.slow
def test_two_killed_processes_end_on_the_weights_of_two_whole_ones(tmp_path):
    """With augmentation, dropout and accumulation: bit for bit, as one process does."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TOLD)

    def torchrun(out: Path, *more: str) -> subprocess.Popen[bytes]:
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node=2", "-m", "zoo", "train", str(recipe), "-o", str(out), *more),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

    assert torchrun(tmp_path / "whole").wait() == 0
    killed = torchrun(tmp_path / "killed")
    path = tmp_path / "killed" / CHECKPOINT
    while killed.poll() is None and not (path.exists() and checkpoint.read(path)["step"] >= 9):
        time.sleep(0.01)
    # torchrun gives its workers sessions of their own: each is killed by its number.
    listed = subprocess.run(["pgrep", "-P", str(killed.pid)], capture_output=True, check=True)
    workers = [int(number) for number in listed.stdout.split()]
    assert len(workers) == 2
    for process in (*workers, killed.pid):
        os.kill(process, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert 9 <= checkpoint.read(path)["step"] < 100
    assert torchrun(tmp_path / "killed", "--resume").wait() == 0
    for file in ("model/model.safetensors", "model/samples.png", "model-best/model.safetensors"):
        ends = [(tmp_path / run / file).read_bytes() for run in ("whole", "killed")]
        assert ends[0] == ends[1]

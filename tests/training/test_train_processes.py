"""Several processes: the same training, one of them speaking, all of them stopping."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from forked import run, zoo_command
from test_train import recipe
from tiny_recipe import CLASSES

from zoo.cli import main
from zoo.errors import ZooError
from zoo.sampling.distributed import DistributedContext
from zoo.training import checkpoint, log
from zoo.training.plan import make_plan
from zoo.training.start import start
from zoo.training.trainer import CHECKPOINT

RECIPE = (
    CLASSES
    + """[train]
images = {images}
batch = 12
accumulate = {accumulate}
warmup = 24
checkpoint_every = 4
log_every = 5
"""
)


def write_recipe(folder: Path, accumulate: int = 1, images: int = 120) -> Path:
    path = folder / f"tiny-{accumulate}.toml"
    path.write_text(RECIPE.format(accumulate=accumulate, images=images))
    return path


def torchrun(*args: object, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Run `zoo train ARGS` in so many processes of one thread each."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *(f"--nproc-per-node={processes}", "-m", "zoo", "train", *map(str, args)),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def alone(*args: object) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", *map(str, args)])
    assert not stop.value.code


def differences(one: Path, other: Path) -> list[float]:
    """The largest difference of each tensor of weights, of averages and of the optimiser."""
    a, b = (checkpoint.read(run / CHECKPOINT) for run in (one, other))
    assert a["step"] == b["step"]
    adam = [
        (x[k], b["optimizer"]["state"][i][k]) for i, x in a["optimizer"]["state"].items() for k in x
    ]
    pairs = [(a[part][k], b[part][k]) for part in ("network", "ema") for k in a[part]] + adam
    return [float((x - y).abs().max()) for x, y in pairs]


def test_two_processes_train_as_one_does_up_to_the_order_of_sums(tmp_path):
    """So does one with three parts, and two with two: data, noise and labels are the same."""
    alone(write_recipe(tmp_path), "-o", tmp_path / "one")
    alone(write_recipe(tmp_path, 3), "-o", tmp_path / "parts")
    two = run(zoo_command, "train", write_recipe(tmp_path, 2), "-o", tmp_path / "two", processes=2)
    assert two.returncode == 0, two.stderr
    assert max(differences(tmp_path / "one", tmp_path / "parts")) < 2e-6
    assert max(differences(tmp_path / "one", tmp_path / "two")) < 2e-6
    # The first process alone speaks and writes.
    assert [line[:5] for line in two.stdout.splitlines() if "zoo sample" not in line] == ["tiny:"]
    assert two.stdout.count("zoo sample") == 1
    assert [line["step"] for line in log.lines(tmp_path / "two")] == [5, 10]
    losses = [[line["loss"] for line in log.lines(tmp_path / n)] for n in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    names = {p.name for p in (tmp_path / "two").iterdir()}
    assert names == {CHECKPOINT, log.LOG, "model"}


def test_shards_differ_and_make_up_the_batch(tmp_path):
    trainer = start(make_plan(recipe(network={"labels": 10})), tmp_path)
    whole = trainer.batches.batch(3, slice(0, 8))
    shards = [DistributedContext(rank, 2).shard(8) for rank in (0, 1)]
    halves = [trainer.batches.batch(3, shard) for shard in shards]
    for name in ("x_t", "t", "target", "labels"):
        parts = [getattr(half, name) for half in halves]
        assert torch.equal(torch.cat(parts), getattr(whole, name))
        assert not torch.equal(*parts)
    assert not torch.equal(whole.x_t, trainer.batches.batch(4, slice(0, 8)).x_t)


def test_a_batch_that_does_not_split_is_told_before_the_first_step():
    with pytest.raises(ZooError, match=r"train.batch = 8 does not split evenly over 3 processes"):
        make_plan(recipe(), processes=3)
    with pytest.raises(ZooError, match=r"train.accumulate = 5; take a multiple of 10"):
        make_plan(recipe(accumulate=5), processes=2)


@pytest.mark.slow
def test_what_is_wrong_is_told_once_and_ends_all_processes(tmp_path):
    done = torchrun(write_recipe(tmp_path), "--data", "digts")
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if line.startswith("zoo: ")]
    assert len(told) == 1
    assert "did you mean 'digits'" in told[0]
    run = tmp_path / "run"
    run.mkdir()
    (run / "samples").touch()  # where a folder should be: fails in the first, when all train
    recipe = write_recipe(tmp_path)
    recipe.write_text(recipe.read_text() + "samples_every = 60\n")
    done = torchrun(recipe, "-o", run)
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if line.startswith("zoo: ")]
    assert len(told) == 1
    assert "cannot write into" in told[0]
    assert checkpoint.read(run / CHECKPOINT)["step"] == 4

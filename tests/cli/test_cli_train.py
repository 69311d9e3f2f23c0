"""`zoo train`: from a recipe to a folder that samples, and what it refuses."""

import json
import math
import os
import re
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from common import run_zoo
from tiny_recipe import RECIPE

import zoo
from zoo.folder.read import read_config
from zoo.training import log
from zoo.training.trainer import Trainer


@pytest.fixture
def train(capsys, tmp_path, monkeypatch):
    """Run `zoo train ARGS` where tiny.toml lies; return (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return partial(run_zoo, capsys, "train")


def refused(result, status=1):
    """The one line on stderr of a command that failed; stdout has the plan, or nothing."""
    code, _, err = result
    assert code == status
    assert err.startswith("zoo: ")
    assert err.count("\n") == 1
    return err


def test_a_recipe_becomes_a_folder_that_samples(train, tmp_path):
    status, out, err = train("tiny.toml")
    assert (status, err) == (0, "")
    assert out.splitlines()[0].startswith("tiny: ")
    assert "1,498 samples of digits, 80 images in batches of 8" in out
    assert out.splitlines()[1] == "runs/tiny/model: try `zoo sample ./runs/tiny/model`"
    run = tmp_path / "runs" / "tiny"
    kept = sorted(p.name for p in run.iterdir() if not p.name.startswith("."))
    assert kept == ["checkpoint.pt", "log.jsonl", "model"]
    assert [line["step"] for line in log.lines(run)] == [3, 6, 9, 10]
    assert zoo.load("./runs/tiny/model").sample(3, seed=0).shape == (3, 1, 8, 8)
    assert "license: cc0-1.0" in (run / "model" / "README.md").read_text()


def test_the_command_that_it_suggests_works_for_any_folder(train, tmp_path):
    assert train("tiny.toml", "-o", "here")[1].endswith("try `zoo sample ./here/model`\n")
    away = tmp_path / "away"
    assert train("tiny.toml", "-o", away)[1].endswith(f"try `zoo sample {away}/model`\n")


def test_a_dry_run_prints_the_plan_and_writes_nothing(train, tmp_path):
    status, out, err = train("tiny.toml", "--dry-run")
    assert (status, err) == (0, "")
    first, second, third, last = out.splitlines()
    assert "parameters" in first
    assert second == "  10 steps, float32, on 1 x cpu, 8 images at a time"
    assert third == "  output: runs/tiny/model"
    assert re.match(r"  about \d+ s at [\d,]+ images/s \(10 steps tried", last)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.toml"]


def test_a_dry_run_resumes_nothing(train):
    error = refused(train("tiny.toml", "--dry-run", "--resume"), 2)
    assert "--dry-run tries steps of a new run; leave --resume out" in error


def test_a_dry_run_finds_mistakes(train, tmp_path):
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("width", "wdith"))
    error = refused(train("tiny.toml", "--dry-run"))
    assert "has no option 'wdith'; did you mean 'width'" in error


def test_other_data_is_told_in_what_is_written(train, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((5, 1, 4, 4), dtype=np.float32))
    assert train("tiny.toml", "--data", "npz:x.npz")[0] == 0
    config = read_config(tmp_path / "runs" / "tiny" / "model")
    assert config.data.shape == (1, 4, 4)
    assert config.data.name == "x"
    assert config.training.recipe["data"]["use"] == "npz:x.npz"


def test_a_run_goes_on_only_when_told_to(train):
    assert train("tiny.toml")[0] == 0
    error = refused(train("tiny.toml"))
    assert "runs/tiny holds a run at step 10; go on with --resume or name another" in error
    assert train("tiny.toml", "--resume")[0] == 0


def test_another_recipe_does_not_go_on(train, tmp_path):
    assert train("tiny.toml")[0] == 0
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("images = 80", "images = 160"))
    assert "belongs to another recipe" in refused(train("tiny.toml", "--resume"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere.toml"], "nowhere.toml: no such recipe file"),
        (["gravity-digit"], "did you mean 'gravity-digits'"),
        (["tiny.toml", "--data", "digts"], "did you mean 'digits'"),
        (["tiny.toml", "--device", "gpu"], "device 'gpu' is not available here"),
        (["tiny.toml", "-o", "tiny.toml"], "cannot write into tiny.toml"),
    ],
)
def test_a_failure_is_one_line_and_status_1(train, args, message):
    assert message in refused(train(*args))


def test_steps_that_were_left_out_are_told(train, monkeypatch):
    whole = Trainer.loss

    def loss(self, batch):
        return whole(self, batch) * (math.nan if self.step in (2, 3) else 1)

    monkeypatch.setattr(Trainer, "loss", loss)
    status, _, err = train("tiny.toml")
    assert status == 0
    assert "zoo: 2 of 10 steps were not finite and left out" in err


def test_an_unknown_key_and_nan_in_the_data_are_told(train, tmp_path):
    (tmp_path / "odd.toml").write_text(RECIPE + "imges = 3\n")
    assert "unknown key 'train.imges'; did you mean 'images'" in refused(train("odd.toml"))
    np.savez(tmp_path / "nan.npz", x=np.full((2, 3), np.nan))
    assert "2 of 2 samples hold NaN" in refused(train("tiny.toml", "--data", "npz:nan.npz"))


def test_wrong_usage_is_status_2(train):
    assert "RECIPE" in refused(train(), 2)
    assert "--reume" in refused(train("tiny.toml", "--reume"), 2)


def test_the_log_is_json_line_by_line(train, tmp_path):
    train("tiny.toml")
    lines = (tmp_path / "runs" / "tiny" / "log.jsonl").read_text().splitlines()
    assert {*json.loads(lines[0])} == {"step", "images", "lr", "skipped", "loss", "images_per_s"}


@pytest.fixture
def interruptible():
    """Python's handler of SIGINT, which a shell's `&` and `nohup` have ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_run_saves_its_step_and_goes_on_to_the_same_weights(train, monkeypatch):
    weights = "model/model.safetensors"
    assert train("tiny.toml", "-o", "whole")[0] == 0
    advance = Trainer.advance

    def interrupted(self):
        loss = advance(self)
        if self.step == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "advance", interrupted)
        status, _, err = train("tiny.toml", "-o", "halted")
    assert status == 130
    assert "zoo: stopped after step 5; go on with --resume" in err
    assert not Path("halted/model").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert train("tiny.toml", "-o", "halted", "--resume")[0] == 0
    assert Path("halted", weights).read_bytes() == Path("whole", weights).read_bytes()

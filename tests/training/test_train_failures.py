"""What goes wrong while `zoo train` runs: one clear line, and the last good checkpoint intact."""

import math
import resource
from functools import partial

import pytest
import torch
from forked import run, zoo_command
from PIL import Image
from tiny_recipe import RECIPE

from zoo.training import checkpoint, log
from zoo.training.plan import make_plan
from zoo.training.recipes import load_recipe
from zoo.training.start import start
from zoo.training.trainer import CHECKPOINT, Trainer


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def train(*args, by=zoo_command):
    """Run `zoo train ARGS` in a process."""
    return run(by, "train", *args)


def with_small_files(largest, *args):
    """Run `zoo ARGS` where no file is of more than `largest` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    zoo_command(*args)


def without_loss_from_step_6(*args):
    whole = Trainer.loss
    Trainer.loss = lambda self, batch: whole(self, batch) * (math.nan if self.step >= 6 else 1)
    zoo_command(*args)


def told(done):
    """The one line of a command that failed."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("zoo: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_full_disk_leaves_the_last_checkpoint_from_which_all_goes_on(recipe, tmp_path):
    folder = tmp_path / "run"
    begun = start(make_plan(load_recipe(recipe)), folder)
    for _ in range(4):
        begun.advance()
    begun.save()
    before = (folder / CHECKPOINT).read_bytes()
    message = told(
        train(recipe, "-o", folder, "--resume", by=partial(with_small_files, len(before) // 2))
    )
    assert "cannot write checkpoint" in message
    assert "the checkpoint before it is intact" in message
    assert (folder / CHECKPOINT).read_bytes() == before
    assert not list(folder.glob("*.part"))
    whole = start(make_plan(load_recipe(recipe)), tmp_path / "whole")
    whole.run()
    resumed = start(make_plan(load_recipe(recipe)), folder, resume=True)
    assert resumed.step == 4
    resumed.run()
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name])


def test_an_unreadable_image_is_named_before_anything_is_written(recipe, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.new("L", (8, 8), 50 * i).save(folder / f"{i}.png")
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:30])
    message = told(train(recipe, "--data", f"folder:{folder}", "-o", tmp_path / "run"))
    assert f"{folder / '1.png'}: not a readable image" in message
    assert not (tmp_path / "run").exists()


def test_a_folder_of_one_image_is_a_data_set(recipe, tmp_path):
    (tmp_path / "one").mkdir()
    Image.new("L", (8, 8), 200).save(tmp_path / "one" / "only.png")
    done = train(recipe, "--data", f"folder:{tmp_path / 'one'}", "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "1 samples of one" in done.stdout
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_a_loss_that_stays_non_finite_stops_the_run_and_leaves_good_weights(recipe, tmp_path):
    """From step 6 on, as by a broken batch; the run is longer than it may be without a loss."""
    recipe.write_text(RECIPE.replace("images = 80", "images = 800"))
    message = told(train(recipe, "-o", tmp_path / "run", by=without_loss_from_step_6))
    assert "the loss is not finite: 50 steps in a row up to step 56 were skipped" in message
    state = checkpoint.read(tmp_path / "run" / CHECKPOINT)
    assert all(value.isfinite().all() for value in state["network"].values())
    assert (state["step"], state["skipped"]) == (52, 46)
    assert [*log.lines(tmp_path / "run")][-1]["skipped"] == 48

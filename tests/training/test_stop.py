"""A stopped run: a model of its checkpoint, the keys that may change, one process at a time."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from common import run_zoo
from forked import fork, zoo_command
from test_train import begin, copy, recipe, same, weights
from tiny_recipe import RECIPE

import zoo
from zoo.errors import ZooError
from zoo.training import log
from zoo.training.lock import LOCK, locked
from zoo.training.plan import make_plan
from zoo.training.recipes import load_recipe
from zoo.training.start import start
from zoo.training.trainer import CHECKPOINT


def train(*args, **options):
    return zoo.train(*args, progress=False, **options)


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A run of tiny.toml in ./run, stopped after three of its ten steps."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    trainer = start(make_plan(load_recipe("tiny.toml")), tmp_path / "run")
    for _ in range(3):
        trainer.advance()
    trainer.save()
    return trainer


def test_a_stopped_run_becomes_a_model_and_goes_on_afterwards(stopped, tmp_path, capsys):
    averaged = copy(stopped.ema.module.state_dict())
    status, out, _ = run_zoo(capsys, "train", "tiny.toml", "-o", "run", "--resume", "--stop")
    assert status == 0
    assert "./run/model" in out
    model = zoo.load("./run/model")
    assert model.config.training.outcome.steps == 3
    halves = {k: v.half().float() if v.is_floating_point() else v for k, v in averaged.items()}
    assert same(model.network.state_dict(), halves)
    ended = train("tiny.toml", folder="run", resume=True)
    whole = train("tiny.toml", folder="whole")
    assert same(ended.network.state_dict(), whole.network.state_dict())


def test_it_does_so_in_python(stopped):
    model = train("tiny.toml", folder="run", resume=True, stop=True)
    assert model.config.training.outcome.images_seen == 24


def test_what_has_made_no_step_has_no_model(tmp_path):
    begin(tmp_path / "run")
    with pytest.raises(ZooError, match="has made no step; there is no model of it"):
        train(recipe(), folder=tmp_path / "run", resume=True, stop=True)
    assert not (tmp_path / "run" / "model").exists()
    with pytest.raises(ZooError, match="it goes with resume = True"):
        train(recipe(), folder=tmp_path / "run", stop=True)


def test_stop_alone_is_wrong_usage(capsys):
    status, _, err = run_zoo(capsys, "train", "gravity-digits", "--stop")
    assert status == 2
    assert "say --resume --stop" in err


@pytest.mark.parametrize("what", ["sample", "show", "plot", "push"])
def test_the_folder_of_a_run_is_told_from_its_model(stopped, capsys, what):
    more = ["ada/x"] if what == "push" else []
    status, _, err = run_zoo(capsys, what, "./run", *more)
    assert status == 1
    assert "`zoo train RECIPE -o run --resume` trains to the end, and with --stop" in err
    train("tiny.toml", folder="run", resume=True)
    status, _, err = run_zoo(capsys, what, "./run", *more)
    assert (status, err) == (1, "zoo: ./run is the folder of a training run; say ./run/model\n")


@pytest.mark.parametrize(
    "free",
    [
        {"checkpoint_every": 1},
        {"log_every": 1},
        {"samples_every": 40},
        {"validate_every": 40},
        {"tensorboard": True},
    ],
)
def test_keys_that_change_no_number_may_change(tmp_path, free):
    if "tensorboard" in free:
        pytest.importorskip("torch.utils.tensorboard")
    trainer = begin(tmp_path)
    trainer.advance()
    trainer.save()
    again = begin(tmp_path, resume=True, **free)
    assert again.step == 1
    assert same(weights(again), weights(trainer))
    assert again.recipe.train != trainer.recipe.train
    again.save()
    assert begin(tmp_path, resume=True).step == 1


def test_a_license_may_be_added_later(stopped):
    text = RECIPE.replace("cc0-1.0", "mit") + '[card]\nsummary = "Ten steps."\n'
    Path("tiny.toml").write_text(text)
    model = train("tiny.toml", folder="run", resume=True, stop=True)
    assert "Weights: mit." in model.card
    assert "Ten steps." in model.card


def test_who_wants_to_train_longer_is_told_how(tmp_path):
    begin(tmp_path)
    match = r"images was 80, is 160\); train into another folder, from .* train\.start = "
    with pytest.raises(ZooError, match=match) as error:
        begin(tmp_path, resume=True, images=160)
    assert len(str(error.value)) <= 500
    with pytest.raises(ZooError, match=r"train into another folder$"):
        begin(tmp_path, resume=True, lr=2e-3)


# One process at a time


def test_two_processes_do_not_train_in_one_folder(stopped, tmp_path):
    with (
        locked(tmp_path / "run"),
        pytest.raises(ZooError, match="another process trains in run; wait for it"),
    ):
        train("tiny.toml", folder="run", resume=True)
    with (
        locked(tmp_path),
        pytest.raises(ZooError, match="another process trains"),
    ):
        train("tiny.toml", folder=tmp_path)
    train("tiny.toml", folder="run", resume=True)
    assert not (tmp_path / "run" / LOCK).exists()


def test_the_lock_of_a_killed_process_is_nobodys(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from zoo.training.lock import locked\n"
        f"with locked(Path({str(tmp_path)!r})):\n    print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(ZooError, match="another process trains"), locked(tmp_path):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with locked(tmp_path):
        pass
    assert not [*tmp_path.iterdir()]


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ZooError, match="cannot write"), locked(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_without_locks_is_trained_in(tmp_path, monkeypatch):
    import fcntl

    def no_locks(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with locked(tmp_path):
        assert torch.ones(1).sum() == 1


def test_of_two_resumed_at_once_one_is_refused(stopped, tmp_path):
    """Both processes start together; the log has every step once."""
    args = ("train", "tiny.toml", "-o", "run", "--resume")
    pair = [fork(zoo_command, *args, told=tmp_path) for _ in range(2)]
    for process in pair:
        process.join()
    codes = sorted(process.exitcode for process in pair)
    assert codes in ([0, 1], [0, 0])  # [0, 0] where the second came when the first had ended
    told = (tmp_path / "err").read_text()
    assert codes == [0, 0] or "another process trains in run" in told
    steps = [line["step"] for line in log.lines(tmp_path / "run") if "lr" in line]
    assert steps == sorted(set(steps))
    assert (tmp_path / "run" / CHECKPOINT).is_file()

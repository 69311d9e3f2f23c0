"""A checkpoint is what a run wrote, or is refused: damage, other values, other kinds of files."""

import os
import random
import signal
from contextlib import contextmanager

import pytest
import torch
from test_train import begin, same, weights

from zoo.errors import ZooError
from zoo.training import checkpoint, log
from zoo.training.trainer import CHECKPOINT


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run at step 4, and its checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    trainer = begin(folder)
    for _ in range(4):
        trainer.advance()
    trainer.save()
    return folder, (folder / CHECKPOINT).read_bytes()


@pytest.fixture
def folder(run):
    yield run[0]
    (run[0] / CHECKPOINT).write_bytes(run[1])


def refused(folder, match):
    with pytest.raises(ZooError, match=match) as error:
        begin(folder, resume=True)
    message = str(error.value)
    assert "\n" not in message
    assert len(message) <= 500


@contextmanager
def in_time(seconds=20):
    """End what hangs."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_torch_reads_a_checkpoint_too(folder):
    assert torch.load(folder / CHECKPOINT, weights_only=True)["step"] == 4


def test_no_flipped_bit_goes_on(folder, run):
    path, whole, chance = folder / CHECKPOINT, run[1], random.Random(0)
    places = [chance.randrange(len(whole)) for _ in range(150)] + [len(whole) - 1, len(whole) - 80]
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(ZooError, match=r"is damaged|is not a"):
            checkpoint.read(path)
    refused(folder, r"is damaged|is not a")


def test_a_mixture_of_two_checkpoints_is_refused(folder, run, tmp_path):
    other = begin(tmp_path / "other", lr=1e-2)
    for _ in range(4):
        other.advance()
    other.save()
    theirs = (tmp_path / "other" / CHECKPOINT).read_bytes()
    middle = len(run[1]) // 2
    (folder / CHECKPOINT).write_bytes(run[1][:middle] + theirs[middle:])
    refused(folder, r"is damaged|is not a")


def changed(folder, change):
    state = checkpoint.read(folder / CHECKPOINT)
    change(state)
    checkpoint.write_atomic(folder / CHECKPOINT, state)


@pytest.mark.parametrize(
    "values",
    [
        {"step": -5},
        {"step": 10**9},
        {"step": 2.0},
        {"step": True},
        {"step": "4"},
        {"step": None},
        {"skipped": -1},
        {"skipped": 5},
        {"skipped_in_a_row": 1},
        {"best_step": 99},
        {"best_loss": float("nan")},
        {"best_loss": "low"},
        {"validation_loss": [1]},
        {"recipe": "tiny"},
        {"recipe": None},
        {"recipe": [1]},
        {"recipe": {}},
        {"recipe": {"name": "tiny", "data": {"use": "x" * 9999}}},
        {"optimizer": None},
        {"optimizer": {"state": {}, "param_groups": []}},
        {"network": None},
        {"ema": {}},
        {"ema": [1]},
        {"data": None},
    ],
    ids=str,
)
def test_values_that_no_run_has_are_refused(folder, values):
    changed(folder, lambda state: state.update(values))
    refused(folder, "checkpoint.pt")


def _spoil(part, value):
    def change(state):
        first = next(iter(state[part].values()))
        first.view(-1)[0] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["optimizer"]["param_groups"][0].update(weight_decay=0.3),
        lambda s: s["optimizer"]["param_groups"][0].update(betas=(0.5, 0.5)),
        lambda s: s["optimizer"]["param_groups"][0].pop("eps"),
        lambda s: s["optimizer"]["param_groups"].append({}),
        lambda s: s["optimizer"]["state"].update({999: {}}),
        lambda s: s["optimizer"]["state"][0].update(exp_avg=torch.zeros(3)),
        lambda s: s["optimizer"]["state"][0].update(step=torch.tensor(1e9)),
        lambda s: s["optimizer"]["state"][0]["exp_avg_sq"].fill_(torch.inf),
        lambda s: s["optimizer"].update(state=[]),
        _spoil("network", float("nan")),
        _spoil("ema", float("inf")),
    ],
)
def test_an_optimiser_or_weights_that_no_run_has_are_refused(folder, change):
    changed(folder, change)
    refused(folder, "does not fit what its recipe builds now")


@pytest.mark.parametrize("name", [log.LOG, CHECKPOINT])
def test_a_pipe_is_refused_and_waits_for_nobody(tmp_path, name):
    begin(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with in_time():
        refused(tmp_path, rf"{name} is no regular file")
        if name == log.LOG:
            with pytest.raises(ZooError, match="is no regular file"):
                log.append(tmp_path, {"step": 1, "images": 8})


@pytest.mark.parametrize("line", ['{"step": "a", "images": 8}', '{"step": 1, "images": []}'])
def test_a_log_of_other_values_is_refused(tmp_path, line):
    begin(tmp_path)
    (tmp_path / log.LOG).write_text(f'{line}\n{{"step": 2, "images": 16}}\n')
    refused(tmp_path, "line 1 is not of zoo train")


def test_nothing_is_written_through_a_link(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    run = tmp_path / "run"
    trainer = begin(run)
    (run / f"{CHECKPOINT}.part").symlink_to(precious)
    (run / CHECKPOINT).unlink()
    (run / CHECKPOINT).symlink_to(precious)
    trainer.advance()
    trainer.save()
    assert precious.read_text() == "mine"
    assert not (run / CHECKPOINT).is_symlink()
    assert same(weights(begin(run, resume=True)), weights(trainer))


def test_what_a_killed_process_left_half_written_goes(tmp_path):
    begin(tmp_path)
    (tmp_path / f".{CHECKPOINT}.0123.part").write_bytes(b"half")
    begin(tmp_path, resume=True)
    assert not [*tmp_path.glob(".*")]

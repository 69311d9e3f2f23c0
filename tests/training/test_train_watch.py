"""What looks at a run: validation, best weights, pictures, TensorBoard. None of it changes it."""

import math
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image
from test_train import begin, recipe, same, weights

import zoo
from zoo.cli import main
from zoo.errors import ZooError
from zoo.models.model import FieldModel
from zoo.training import checkpoint, log
from zoo.training.export import BEST, Validation, export
from zoo.training.plan import make_plan
from zoo.training.trainer import CHECKPOINT, is_due

WATCHED = {"validate_every": 24, "samples_every": 40}


def validations(folder):
    return [line for line in log.lines(folder) if "validation_loss" in line]


def test_looks_are_due_where_multiples_are_passed_and_at_the_end():
    assert [k for k in range(1, 11) if is_due(24, k, 10, 8)] == [3, 6, 9, 10]
    assert [k for k in range(1, 11) if is_due(20, k, 10, 8)] == [3, 5, 8, 10]
    assert [k for k in range(1, 4) if is_due(1, k, 3, 8)] == [1, 2, 3]


@pytest.mark.parametrize("network", [{}, {"use": "unet", "width": 8, "labels": 10}])
def test_a_watched_run_is_the_same_run(tmp_path, network):
    plain = begin(tmp_path / "plain", network=network)
    watched = begin(tmp_path / "watched", network=network, **WATCHED)
    for trainer in (plain, watched):
        trainer.run()
    assert same(weights(plain), weights(watched))
    names = sorted(p.name for p in (tmp_path / "watched" / "samples").iterdir())
    assert names == ["000005.png", "000010.png"]
    with Image.open(tmp_path / "watched" / "samples" / names[1]) as picture:
        assert picture.size == (497, 497)
    assert [line["step"] for line in validations(tmp_path / "watched")] == [3, 6, 9, 10]


def test_the_validation_loss_falls_and_is_a_figure_of_the_weights_alone(tmp_path):
    options = {"images": 6400, "batch": 64, "lr": 3e-3, "validate_every": 1600}
    trainer = begin(tmp_path, **options)
    validation = Validation(make_plan(recipe(**options)).held_out, 1)
    first = validation.loss(trainer)
    torch.manual_seed(123)
    assert validation.loss(trainer) == first
    trainer.run()
    losses = [line["validation_loss"] for line in validations(tmp_path)]
    assert len(losses) == 4
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * first
    assert losses[-1] == pytest.approx(validation.loss(trainer))


def test_the_best_weights_are_kept_where_later_ones_are_worse(tmp_path, monkeypatch):
    values = {3: 2.0, 6: 1.0, 9: 3.0, 10: 4.0}
    monkeypatch.setattr(Validation, "loss", lambda self, trainer: values[trainer.step])
    trainer = begin(tmp_path, **WATCHED)
    kept = {}

    def note(step, loss):
        kept[step] = trainer.ema.module.state_dict()["backbone.out.bias"].clone()

    trainer.run(note)
    assert [line["best_loss"] for line in validations(tmp_path)] == [2.0, 1.0, 1.0, 1.0]
    assert validations(tmp_path)[-1]["best_step"] == 6
    best, last = zoo.load(tmp_path / BEST), zoo.load(export(trainer))
    for model, step in ((best, 6), (last, 10)):
        bias = model.network.state_dict()["backbone.out.bias"]
        assert torch.equal(bias, kept[step].half().float())
    assert best.config.training.outcome.validation_loss == 1.0
    assert last.config.training.outcome.validation_loss == 4.0
    assert best.sample(2, seed=0, steps=3).isfinite().all()


def test_a_loss_that_is_not_finite_is_no_figure(tmp_path, monkeypatch):
    values = {3: math.nan, 6: 2.0, 9: math.inf, 10: 1.0}
    monkeypatch.setattr(Validation, "loss", lambda self, trainer: values[trainer.step])
    begin(tmp_path, validate_every=24).run()
    logged = validations(tmp_path)
    assert [line["validation_loss"] for line in logged] == [None, 2.0, None, 1.0]
    assert [line["best_loss"] for line in logged] == [None, 2.0, 2.0, 1.0]
    assert logged[-1]["best_step"] == 10


def test_a_test_split_of_more_classes_is_told_before_the_first_step(tmp_path):
    images = np.zeros((4, 1, 8, 8), dtype=np.uint8)
    arrays = {"x": images, "y": np.arange(4) % 2, "x_test": images, "y_test": np.arange(4)}
    np.savez(tmp_path / "x.npz", **arrays)
    labelled = recipe(network={"use": "unet", "width": 8, "labels": 2}, validate_every=24)
    with pytest.raises(ZooError, match="4 classes are more than 2"):
        make_plan(labelled, f"npz:{tmp_path / 'x.npz'}")


@pytest.mark.parametrize("stop", [2, 5, 9])
def test_a_resumed_run_watches_on(tmp_path, stop):
    whole = begin(tmp_path / "whole", **WATCHED)
    whole.run()
    cut = begin(tmp_path / "cut", **WATCHED)

    def halt(step, loss):
        if step == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut.run(halt)
    resumed = begin(tmp_path / "cut", resume=True, **WATCHED)
    assert resumed.step == stop // 4 * 4
    resumed.run()
    assert same(weights(resumed), weights(whole))
    one, other = (validations(tmp_path / name) for name in ("whole", "cut"))
    assert one == other
    states = [checkpoint.read(tmp_path / name / CHECKPOINT) for name in ("whole", "cut")]
    assert len({(s["best_loss"], s["best_step"], s["validation_loss"]) for s in states}) == 1
    for file in ("samples/000005.png", "samples/000010.png", f"{BEST}/model.safetensors"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()


def test_points_and_numbers_have_pictures_of_their_own(tmp_path):
    begin(tmp_path / "a", data={"use": "toy:two-moons"}, images=8, samples_every=8, warmup=0).run()
    assert [p.name for p in (tmp_path / "a" / "samples").iterdir()] == ["000001.png"]
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 5), dtype=np.float32))
    data = {"use": f"npz:{tmp_path / 'x.npz'}"}
    begin(tmp_path / "b", data=data, images=8, samples_every=8, warmup=0).run()
    assert [p.name for p in (tmp_path / "b" / "samples").iterdir()] == ["000001.npz"]


def test_data_without_a_test_split_cannot_validate(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 5), dtype=np.float32))
    data = {"use": f"npz:{tmp_path / 'x.npz'}"}
    with pytest.raises(ZooError, match=r"validate_every needs a test split: .* only train"):
        make_plan(recipe(data=data, validate_every=1))


def test_a_disk_that_refuses_a_picture_is_told_and_the_checkpoint_stays(tmp_path):
    trainer = begin(tmp_path, samples_every=40)
    (tmp_path / "samples").write_text("")
    with pytest.raises(ZooError, match="cannot write into"):
        trainer.run()
    assert checkpoint.read(tmp_path / CHECKPOINT)["step"] == 4


# TensorBoard


class FakeWriter:
    """Stands where torch's SummaryWriter does, which needs a package of its own."""

    made = None

    def __init__(self, folder, purge_step):
        self.folder, self.purge_step, self.scalars = folder, purge_step, {}
        FakeWriter.made = self

    def add_scalar(self, name, value, step):
        self.scalars.setdefault(name, []).append((step, value))

    def flush(self):
        pass


def test_tensorboard_gets_what_the_log_gets(tmp_path, monkeypatch):
    module = types.SimpleNamespace(SummaryWriter=FakeWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    options = {"tensorboard": True, "validate_every": 24}
    trainer = begin(tmp_path, **options)
    trainer.run()
    lines = [*log.lines(tmp_path)]
    writer = FakeWriter.made
    assert (writer.folder, writer.purge_step) == (str(tmp_path / "tensorboard"), 1)
    for name in ("loss", "lr", "images_per_s", "validation_loss"):
        assert writer.scalars[name] == [(ln["step"], ln[name]) for ln in lines if name in ln]
    assert all(math.isfinite(v) for scalars in writer.scalars.values() for _, v in scalars)
    begin(tmp_path, resume=True, **options)
    assert FakeWriter.made.purge_step == 11


def test_weights_that_lead_nowhere_cost_the_picture_and_not_the_run(tmp_path, monkeypatch):
    def lost(self, *args, **options):
        raise ZooError("the network's output is not finite at t = 3")

    monkeypatch.setattr(FieldModel, "sample", lost)
    module = types.SimpleNamespace(SummaryWriter=FakeWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    trainer = begin(tmp_path, samples_every=40, tensorboard=True)
    trainer.run()
    folder = export(trainer)
    said = [line["step"] for line in log.lines(tmp_path) if "not finite" in str(line)]
    assert said == [5, 10, 10]
    files = sorted(path.name for path in folder.iterdir())
    assert files == ["README.md", "config.json", "model.safetensors"]
    assert "samples.png" not in (folder / "README.md").read_text()
    assert "no_picture" not in FakeWriter.made.scalars


def test_without_tensorboard_the_pip_line_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ZooError, match=r"pip install 'fieldzoo\[train-tensorboard\]'"):
        begin(tmp_path, tensorboard=True)
    assert not any(tmp_path.iterdir())  # no checkpoint either, so that the next try may begin


def test_the_command_writes_all_of_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(
        'name = "tiny"\n[data]\nuse = "digits"\n[kernel]\nuse = "flow"\n'
        '[network]\nuse = "mlp"\nwidth = 8\nblocks = 1\n[solver]\nuse = "euler"\nsteps = 2\n'
        "[train]\nimages = 16\nbatch = 8\nwarmup = 8\nvalidate_every = 8\nsamples_every = 8\n"
    )
    with pytest.raises(SystemExit) as stop:
        main(["train", "tiny.toml"])
    assert not stop.value.code, capsys.readouterr().err
    there = sorted(p.name for p in (tmp_path / "runs" / "tiny").iterdir())
    assert there == ["checkpoint.pt", "log.jsonl", "model", "model-best", "samples"]

"""zoo.train: training from Python is one import, and what `zoo train` does."""

import json
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from test_train import recipe, same
from tiny_recipe import RECIPE

import zoo
from zoo.cli import main
from zoo.errors import ZooError
from zoo.training import checkpoint
from zoo.training.run import data_of, recipe_of
from zoo.training.trainer import CHECKPOINT, Trainer

TABLES = {
    "name": "labelled",
    "kernel": {"use": "gaussian"},
    "network": {"use": "mlp", "width": 8, "blocks": 1, "labels": 3},
    "train": {"images": 32, "batch": 8, "warmup": 8},
}
MASKED = np.ma.masked_equal([0, 1, 0], 1)


def weights(model):
    return model.network.state_dict()


def train(*args, **options):
    return zoo.train(*args, progress=False, **options)


def test_a_path_trains_as_the_command_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    with pytest.raises(SystemExit) as stop:
        main(["train", "tiny.toml", "-o", "there"])
    assert not stop.value.code
    model = train("tiny.toml", folder="here")
    assert same(weights(model), weights(zoo.load("./there/model")))
    assert model.card == zoo.load("./here/model").card
    again = train("here/model/config.json", folder=tmp_path / "again")
    assert same(weights(again), weights(model))


def test_the_classes_of_folders_have_names_everywhere(tmp_path, monkeypatch, command):
    for name in ("dogs", "cats"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "pets" / name / "a.png")
    tables = {**TABLES, "network": {**TABLES["network"], "labels": 2}}
    model = train(
        {**tables, "data": {"use": f"folder:{tmp_path / 'pets'}"}}, folder=tmp_path / "run"
    )
    assert model.classes == ("cats", "dogs")
    assert model.name == "labelled"
    assert "2 classes (cats, dogs)" in model.card
    folder = tmp_path / "run" / "model"
    assert json.loads((folder / "config.json").read_text())["data"]["classes"] == ["cats", "dogs"]
    assert ["classes", "0", "cats,", "1", "dogs"] in [
        line.split() for line in command("show", folder)[1].splitlines()
    ]
    for label, out in (("dogs", "a.npz"), ("1", "b.npz")):
        assert command("sample", folder, "-n", 2, "--label", label, "-o", out)[0] == 0
    assert np.array_equal(*(np.load(name)["samples"] for name in ("a.npz", "b.npz")))
    status, _, err = command("sample", folder, "--label", "dog")
    assert (status, "no class 'dog'; did you mean 'dogs'?" in err) == (1, True)


def test_without_a_folder_nothing_is_left_but_the_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    model = train(recipe())
    assert same(weights(model), weights(train(recipe().to_dict())))
    assert model.sample(2, seed=0).shape == (2, 1, 8, 8)
    assert model.config.data.name == "digits"


def test_a_name_is_that_of_a_bundled_recipe(tmp_path):
    assert recipe_of("gravity-digits").name == "gravity-digits"
    with pytest.raises(ZooError, match="no such bundled recipe; did you mean 'gravity-digits'"):
        train("gravity-digit", folder=tmp_path)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_arrays_with_labels_are_data(tmp_path, kind):
    x = np.random.default_rng(0).uniform(-1, 1, (12, 6, 6)).astype(np.float32)
    labels = np.arange(12) % 3
    model = train(TABLES, folder=tmp_path, data=(kind(x), kind(labels)))
    assert model.shape == (1, 6, 6)
    assert model.network.labels == 3
    assert model.config.data.name == "array"
    assert "zoo train" not in model.card
    more = train(TABLES, folder=tmp_path, data=(kind(x), kind(labels)), resume=True)
    assert same(weights(more), weights(model))
    with pytest.raises(ZooError, match=r"trained on other samples than array has now \(11"):
        train(TABLES, folder=tmp_path, data=(kind(x)[:11], kind(labels)[:11]), resume=True)


def test_a_reference_and_an_array_of_vectors_are_data(tmp_path):
    tables = {**TABLES, "network": {"use": "mlp", "width": 8, "blocks": 1}}
    points = train(tables, data=[[0.0, 1.0], [2.0, 3.0], [4.0, 3.5]])
    assert points.shape == (2,)
    assert points.config.data.range is None
    np.savez(tmp_path / "x.npz", x=np.zeros((9, 1, 8, 8), dtype=np.uint8))
    assert train(tables, data=f"npz:{tmp_path / 'x.npz'}").shape == (1, 8, 8)
    assert data_of("digits") == "digits"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": np.zeros((3, 2), dtype=complex)}, "data of complex128"),
        ({"data": (np.zeros((3, 2)), np.zeros(3))}, "labels of float64; expected whole numbers"),
        ({"data": (np.zeros((3, 2)), np.zeros(2, dtype=int))}, "for 3 samples"),
        ({"data": (np.zeros((3, 2)),)}, r"a tuple of 1 item; expected an array or \(array, lab"),
        ({"data": (np.zeros((3, 2)),) * 4}, "a tuple of 4 items; expected an array or"),
        ({"data": ()}, "a tuple of 0 items; expected an array or"),
        ({"data": [[0.0, 1.0], [2.0]]}, "cannot be made an array .*rows of one length"),
        ({"data": (np.zeros((3, 2)), [[0], [1, 2], [0]])}, "cannot be made an array"),
        ({"data": torch.zeros(3, 2, dtype=torch.bfloat16)}, "cannot be made an array"),
        ({"data": (np.zeros((3, 2)), MASKED)}, "^labels is a masked array; fill in what is mis"),
        ({"data": MASKED[:, None]}, "^data is a masked array"),
        ({"data": (np.zeros((3, 2)), None, MASKED[:, None])}, "^condition is a masked array"),
        ({"resume": True}, "goes on with the run in a folder; name it with folder="),
        ({}, "data is missing"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(options, message):
    with pytest.raises(ZooError, match=message) as error:
        train(TABLES, **options)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"train": {"validate_every": 8}}, "needs a test split, which an array has not"),
        ({"data": {"size": 4}}, "data.size = 4 is for data sets by reference"),
    ],
)
def test_an_array_is_neither_split_nor_scaled(plan, message):
    tables = {**TABLES, **plan, "train": {**TABLES["train"], **plan.get("train", {})}}
    with pytest.raises(ZooError, match=message):
        train(tables, data=(np.zeros((3, 1, 8, 8), dtype=np.uint8), np.arange(3)))


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    """By Ctrl-C after the fifth step, which is finished and saved."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # not every runner has Ctrl-C
    whole, advance = train(recipe(), folder=tmp_path / "whole"), Trainer.advance

    def stop(self):
        self.stopping = self.step == 4
        return advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "advance", stop)
        with pytest.raises(KeyboardInterrupt, match="stopped after step 5"):
            train(recipe(), folder=tmp_path / "cut")
        with pytest.raises(KeyboardInterrupt) as stopped:
            train(recipe())
    assert str(stopped.value).startswith("stopped after step 5; nothing was kept: name a folder")
    assert checkpoint.read(tmp_path / "cut" / CHECKPOINT)["step"] == 5
    resumed = train(recipe(), folder=tmp_path / "cut", resume=True)
    assert same(weights(resumed), weights(whole))

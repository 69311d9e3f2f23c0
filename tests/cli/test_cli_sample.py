"""`zoo sample`: from a name to a picture, and what it refuses before it draws."""

import shutil
from functools import partial

import numpy as np
import pytest
import torch
from common import refused
from fake_distributions import install
from PIL import Image
from tiny_models import images, points

import zoo
from zoo.folder.picture import grid


@pytest.fixture
def sample(command):
    """Run `zoo sample ARGS` in an empty folder; return (exit status, stdout, stderr)."""
    return partial(command, "sample")


@pytest.fixture
def folder(saved_images, tmp_path):
    return shutil.copytree(saved_images, tmp_path / "gravity-tiny")


def test_a_grid_of_the_samples_that_the_seed_gives(sample, folder, tmp_path):
    status, out, err = sample(folder, "-n", 5, "-o", "grid.png", "--steps", 3, "--seed", 7)
    assert (status, err) == (0, "")
    assert out == f"grid.png: 5 samples of {folder}, seed 7\n"
    with Image.open("grid.png") as written:
        drawn = np.asarray(written)
    assert np.array_equal(drawn, grid(zoo.load(folder).sample(5, seed=7, steps=3)))


def test_numbers_solver_and_batch_size(sample, folder):
    options = ("-n", 4, "--steps", 3, "--solver", "euler", "--batch-size", 2)
    assert sample(folder, *options, "-o", "x.npz")[0] == 0
    expected = zoo.load(folder).sample(4, seed=0, steps=3, solver="euler")
    with np.load("x.npz") as archive:
        assert torch.equal(torch.from_numpy(archive["samples"]), expected)


def test_the_defaults_are_64_samples_of_seed_0_in_a_file_of_that_name(sample, folder, monkeypatch):
    _, out, _ = sample(folder, "--steps", 1)
    assert out == f"gravity-tiny.png: 64 samples of {folder}, seed 0\n"
    with Image.open("gravity-tiny.png") as written:
        assert written.size == ((8 * 9 - 1) * 7,) * 2
    monkeypatch.chdir(folder)
    assert sample(".", "-n", 1, "--steps", 1)[1].startswith("gravity-tiny.png: ")


def test_what_has_no_picture_is_written_as_numbers(sample, tmp_path):
    five = points(dim=5).save_pretrained(tmp_path / "five")
    assert sample(five, "-n", 3, "--steps", 2)[1].startswith("five.npz: 3 samples")
    with np.load("five.npz") as archive:
        assert archive["samples"].shape == (3, 5)


def test_labels_and_guidance(sample, tmp_path):
    model = images(labels=3)
    folder = model.save_pretrained(tmp_path / "m")
    options = ("-n", 2, "--steps", 2, "--label", 1, "--guidance", 2.0, "-o", "x.npz")
    assert sample(folder, *options)[0] == 0
    with np.load("x.npz") as archive:
        found = torch.from_numpy(archive["samples"])
    assert torch.equal(found, model.sample(2, seed=0, steps=2, labels=1, guidance=2.0))


def test_a_model_of_a_plugin_by_its_qualified_name(sample, site, saved_images):
    source = "from pathlib import Path\n@hookimpl\ndef zoo_models():\n"
    source += "    yield Path(__file__).parent / 'gravity-tiny'\n"
    shutil.copytree(saved_images, site / install(site, "zoo-sea", source=source) / "gravity-tiny")
    status, out, _ = sample("sea:gravity-tiny", "-n", 1, "--steps", 1)
    assert (status, out) == (0, "sea-gravity-tiny.png: 1 samples of sea:gravity-tiny, seed 0\n")


@pytest.mark.parametrize(
    ("option", "value"),
    [("-n", 0), ("-n", -3), ("-n", "many"), ("--steps", 0), ("--batch-size", 0), ("--seed", "x")],
)
def test_wrong_usage_is_status_2(sample, folder, option, value):
    assert option in refused(sample(folder, option, value), 2)


def test_guidance_takes_a_label(sample, folder):
    assert "name it with --label" in refused(sample(folder, "--guidance", "3"), 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--solver", "heum"], "no solver 'heum'; did you mean 'heun'"),
        (["--device", "gpu"], "device 'gpu' is not available here"),
        (["--label", "1"], "not conditioned on classes"),
        (["--guidance", "3", "--label", "0"], "not conditioned on classes"),
        (["-o", "x.jpg"], "are written to a file ending in .npz or .png"),
        (["-o", "nowhere/x.png"], "there is no folder nowhere"),
        (["-o", "."], "are written to a file ending in"),
    ],
)
def test_a_failure_is_status_1_and_one_line(sample, folder, options, message):
    assert message in refused(sample(folder, *options), 1)


def test_a_wrong_target_is_told_before_the_work(sample, folder, monkeypatch):
    monkeypatch.setattr(zoo.FieldModel, "sample", lambda *a, **o: pytest.fail("drew samples"))
    assert "x.gif" in refused(sample(folder, "-o", "x.gif"), 1)


def test_unknown_and_broken_models(sample, folder):
    assert "no model 'gravity-mist'" in refused(sample("gravity-mist"), 1)
    assert "there is no folder" in refused(sample("./nowhere"), 1)
    (folder / "config.json").write_text('{"format": 1, "kernl": 1}')
    assert "did you mean 'kernel'" in refused(sample(folder), 1)

"""`zoo restore`: what is left of an image, answers, and what is refused before any is drawn."""

import re
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from common import refused
from PIL import Image
from tiny_models import points

import zoo
from zoo.folder.picture import grid
from zoo.posterior import Downscale, Mask


@pytest.fixture
def restore(command):
    """Run `zoo restore ARGS` in an empty folder; return (exit status, stdout, stderr)."""
    return partial(command, "restore")


@pytest.fixture
def folder(saved_images, tmp_path):
    return shutil.copytree(saved_images, tmp_path / "gravity-tiny")


def picture(name, size=8, mode="L"):
    generator = np.random.default_rng(0)
    shape = (size, size) if mode == "L" else (size, size, 3)
    pixels = generator.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels, mode=None).save(name)
    return torch.from_numpy(pixels)


def test_a_masked_image_is_restored(restore, folder):
    pixels = picture("in.png")
    Image.fromarray(np.uint8(np.arange(8) > 3)[None].repeat(8, 0) * 255).save("mask.png")
    status, out, err = restore(
        folder,
        "in.png",
        "--mask",
        "mask.png",
        "-n",
        2,
        "--steps",
        4,
        "-o",
        "out.png",
        "--noise",
        0.1,
    )
    assert (status, err) == (0, "")
    assert out.startswith("out.png: the input, 2 answers, their mean and standard deviation; ")
    y, keep = pixels[None].float() / 127.5 - 1, torch.arange(8) > 3
    model = zoo.load(folder)
    answers = model.posterior(y, Mask(keep), noise=0.1).sample(2, seed=0, steps=4)
    spread = answers.std(dim=0, correction=0)
    spread = spread / spread.max() * 2 - 1
    shown = torch.stack([y.where(keep, 0), *answers, answers.mean(dim=0), spread])
    with Image.open("out.png") as written:
        assert np.array_equal(np.asarray(written), grid(shown))


def test_few_pixels_as_numbers(restore, folder):
    pixels = picture("small.png", size=4)
    options = ("--operator", "downscale:2", "-n", 3, "--steps", 4, "--method", "diffpir")
    status, out, _ = restore(folder, "small.png", *options, "-o", "x.npz")
    assert status == 0
    assert re.fullmatch(r"x\.npz: 3 answers; their largest standard deviation is [\d.]+\n", out)
    posterior = zoo.load(folder).posterior(
        pixels[None].float() / 127.5 - 1, Downscale(2), noise=0.05, method="diffpir"
    )
    with np.load("x.npz") as archive:
        assert np.array_equal(archive["samples"], posterior.sample(3, seed=0, steps=4).numpy())


def test_what_does_not_fit_is_told_in_one_line(restore, folder, tmp_path):
    picture("in.png")
    picture("large.png", size=10)
    Image.new("L", (8, 8)).save("black.png")
    vectors = points().save_pretrained(tmp_path / "points")
    assert "--mask MASK.png, or --operator" in refused(restore(folder, "in.png"), 2)
    both = ("--mask", "in.png", "--operator", "grey")
    assert "--mask MASK.png, or --operator" in refused(restore(folder, "in.png", *both), 2)
    for args, message in (
        (
            (folder, "in.png", "--operator", "downscale:2"),
            "in.png has 8x8 pixels; expected 4x4,",
        ),
        ((folder, "in.png", "--operator", "grey"), "Grey is for images of 3 channels"),
        ((folder, "in.png", "--operator", "sharpen"), "no operator 'sharpen'"),
        ((folder, "no.png", "--operator", "blur:1"), "no.png: not a readable image"),
        ((folder, "in.png", "--operator", "blur:1", "--noise", "0"), "noise = 0"),
        ((folder, "in.png", "--operator", "blur:1", "--method", "magic"), "no posterior 'magic'"),
        ((folder, "in.png", "--operator", "blur:1", "-o", "x.txt"), "ending in .npz or .png"),
        ((vectors, "in.png", "--operator", "blur:1"), "zoo restore is for images"),
        ((folder, "in.png", "--mask", "large.png"), "large.png is 10x10; the images are 8x8"),
        ((folder, "in.png", "--mask", "black.png"), "black.png is white nowhere"),
    ):
        assert message in refused(restore(*args), 1)


def test_a_transparent_mask_or_image_is_refused(restore, folder):
    picture("in.png")
    white = np.full((8, 8), 255, dtype=np.uint8)
    erased = white * (np.arange(8) > 3)
    Image.fromarray(np.dstack([white, white, white, erased])).save("erased.png")
    Image.fromarray(np.dstack([white, erased])).save("grey.png")
    Image.new("P", (8, 8)).save("palette.png", transparency=0)
    Image.fromarray(np.dstack([white, white, white, white])).save("whole.png")
    for name in ("erased.png", "grey.png", "palette.png"):
        assert f"{name}: pixels are transparent" in refused(
            restore(folder, "in.png", "--mask", name), 1
        )
    assert "erased.png: pixels are transparent" in refused(
        restore(folder, "erased.png", "--operator", "blur:1"), 1
    )
    options = ("-n", 1, "--steps", 2, "-o", "out.png")
    assert restore(folder, "in.png", "--mask", "whole.png", *options)[0] == 0


def test_what_was_observed_is_not_overwritten(restore, folder):
    picture("in.png")
    before = Path("in.png").read_bytes()
    for args in (("--operator", "blur:1"), ("--mask", "in.png")):
        found = refused(restore(folder, "in.png", *args, "-o", "./in.png"), 1)
        assert "in.png is what was observed; name another file" in found
    assert Path("in.png").read_bytes() == before


def test_models_that_draw_given_something_are_refused(restore, monkeypatch):
    model = SimpleNamespace(condition=object(), shape=(1, 8, 8))
    monkeypatch.setattr("zoo.models.load.load", lambda *_, **__: model)
    found = refused(restore("some", "in.png", "--operator", "blur:1"), 1)
    assert "zoo restore gives no conditions, and some draws images given one" in found

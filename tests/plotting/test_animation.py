"""`zoo sample --film` and zoo.show: pictures of walks and of samples."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageSequence
from tiny_models import images, points

import zoo
from zoo.cli import main
from zoo.folder.picture import grid, points_picture
from zoo.plotting.animation import frames, write_film


def frames_of(path):
    with Image.open(path) as film:
        return [np.asarray(one.convert("RGB")).astype(int) for one in ImageSequence.Iterator(film)]


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_film_ends_with_the_samples(suffix, tmp_path):
    walk = images(shape=(3, 8, 8)).trajectory(4, steps=7, seed=0)
    path = tmp_path / f"walk.{suffix}"
    write_film(path, walk)
    shown = frames_of(path)
    assert len(shown) == len(walk.t) == 8
    off = np.abs(shown[-1] - grid(walk.samples))
    assert off.max() == 0 if suffix == "webp" else off.mean() < 3  # a .gif has 256 colours
    with Image.open(path) as film:
        assert film.info.get("loop") == 0


def test_states_that_are_large_are_seen_as_noise_not_as_black_and_white():
    walk = images().trajectory(4, steps=6, seed=0)
    assert walk.rms[0].min() > 2
    levels = np.unique(frames(walk)[0])
    assert len(levels) > 60


def test_points_walk_in_a_window_around_their_ends(tmp_path):
    walk = points().trajectory(30, steps=6, seed=0)
    shown = frames(walk)
    assert len(shown) == len(walk.t)
    assert {frame.shape for frame in shown} == {(480, 480, 3)}
    assert all((frame < 255).any() for frame in shown)
    write_film(tmp_path / "points.gif", walk)
    assert len(frames_of(tmp_path / "points.gif")) >= 2


def test_a_point_is_drawn_where_it_is():
    half = torch.ones(2).double()
    picture = points_picture(torch.tensor([[0.5, -0.25]]), half * 0, half).astype(float)
    ink = 255 - picture[..., 0]
    rows, columns = np.indices(ink.shape)
    x, y = (columns * ink).sum() / ink.sum(), (rows * ink).sum() / ink.sum()
    middle = (ink.shape[0] - 1) / 2
    assert (x / middle - 1, 1 - y / middle) == pytest.approx((0.5, -0.25), abs=0.01)


def test_points_far_from_zero_are_seen_as_those_around_it():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 2, generator=generator, dtype=torch.float64)
    scale = torch.tensor([64.0, 0.125], dtype=torch.float64)
    around = zoo.show(x)
    moved = zoo.show(x * scale + torch.tensor([1024.0, -3.0]))
    assert np.abs(np.asarray(moved).astype(int) - np.asarray(around)).mean() < 0.1
    assert (np.asarray(around) < 255).any(axis=2).mean() > 0.01
    assert zoo.show(torch.full((3, 2), 7.0)).size == (480, 480)
    assert zoo.show(torch.cat([x, x[:1] * 1e6])).size == (480, 480)


def test_the_command_writes_the_film_and_the_same_samples(tmp_path):
    line = ["sample", "gravity-digits", "-n", "3", "--steps", "5"]
    films = [*line, "-o", str(tmp_path / "a.npz"), "--film", str(tmp_path / "walk.webp")]
    for args in (films, [*line, "-o", str(tmp_path / "b.npz")]):
        result = CliRunner().invoke(main, args)
        assert result.exit_code == 0, result.output
    a, b = (np.load(tmp_path / f"{name}.npz")["samples"] for name in "ab")
    assert np.array_equal(a, b)
    assert len(frames_of(tmp_path / "walk.webp")) == 6


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("walk.mp4", (1, 8, 8), "a film is written to a file ending in .gif or .webp"),
        ("walk.gif", (5,), "samples of shape (5,) have no picture"),
        ("no/walk.gif", (2,), "there is no folder"),
    ],
)
def test_a_film_that_cannot_be_is_refused_in_one_line(name, shape, message, tmp_path):
    model = points(dim=shape[0]) if len(shape) == 1 else images(shape=shape)
    with pytest.raises(zoo.ZooError) as error:
        write_film(tmp_path / name, model.trajectory(2, steps=2))
    assert message in str(error.value)


def test_a_notebook_gets_a_picture_of_samples():
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    picture = zoo.show(x, columns=3)
    assert np.array_equal(np.asarray(picture), grid(x, columns=3))
    assert picture._repr_png_().startswith(b"\x89PNG")
    assert zoo.show(x[0]).size == zoo.show(x[:1].numpy()).size
    assert zoo.show(torch.randn(9, 2)).size == (480, 480)


@pytest.mark.parametrize(
    "samples",
    [torch.zeros(4, 5), torch.zeros(0, 1, 8, 8), torch.zeros(2, 2, 8, 8), "grid", torch.zeros(())],
)
def test_what_is_no_picture_is_refused(samples):
    with pytest.raises(zoo.ZooError, match="expected"):
        zoo.show(samples)


def test_samples_that_are_not_finite_are_refused():
    with pytest.raises(zoo.ZooError, match="finite"):
        zoo.show(torch.full((1, 1, 8, 8), torch.nan))

"""Samples on disk: grids, scatters and numbers, and targets refused before anything is drawn."""

import errno

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.errors import ZooError
from zoo.folder import picture
from zoo.folder.picture import check_target, default_suffix, drawable, grid, write_samples


def test_tiles_run_row_by_row_with_a_white_line_between():
    images = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 1, 60, 70)
    sheet = grid(images)
    assert sheet.shape == (2 * 61 - 1, 3 * 71 - 1, 3)
    assert sheet.dtype == np.uint8
    for i, value in enumerate((0, 64, 128, 191, 255)):
        row, column = divmod(i, 3)
        tile = sheet[row * 61 : row * 61 + 60, column * 71 : column * 71 + 70]
        assert (tile == value).all()
    assert (sheet[60] == 255).all()
    assert (sheet[:, 70] == 255).all()
    assert (sheet[61:, 2 * 71 :] == 255).all()


def test_pixels_keep_their_place_colour_and_limits():
    image = torch.full((1, 3, 56, 57), -1.0)
    image[0, 0, 5, 7], image[0, 1, 5, 7], image[0, 2, 0, 56] = 1.0, 5.0, -5.0
    sheet = grid(image)
    assert sheet.shape == (56, 57, 3)
    assert sheet[5, 7].tolist() == [255, 255, 0]
    assert sheet.sum() == 2 * 255


@pytest.mark.parametrize(("side", "scale"), [(8, 7), (28, 2), (29, 1), (64, 1), (1, 56)])
def test_small_images_are_enlarged_by_whole_factors(side, scale):
    sheet = grid(torch.zeros(4, 1, side, side))
    assert sheet.shape[:2] == ((2 * side + 1) * scale,) * 2


def test_the_number_of_columns_can_be_chosen():
    assert grid(torch.zeros(6, 1, 60, 60), columns=6).shape == (60, 6 * 61 - 1, 3)
    assert grid(torch.zeros(1, 1, 60, 60), columns=3).shape == (60, 3 * 61 - 1, 3)


def test_two_channels_are_no_picture():
    with pytest.raises(ZooError, match="1 or 3 channels, not 2"):
        grid(torch.zeros(1, 2, 8, 8))


@pytest.mark.parametrize(
    ("shape", "suffix"),
    [((1, 8, 8), ".png"), ((3, 4, 5), ".png"), ((2,), ".png"), ((3,), ".npz"), ((2, 8, 8), ".npz")],
)
def test_what_can_be_shown(shape, suffix):
    assert default_suffix(shape) == suffix
    assert drawable(shape) == (suffix == ".png")


def test_images_are_written_as_their_grid(tmp_path):
    samples = torch.rand(3, 3, 8, 8) * 2 - 1
    write_samples(tmp_path / "a.png", samples)
    with Image.open(tmp_path / "a.png") as written:
        assert np.array_equal(np.asarray(written), grid(samples))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_points_are_scattered(tmp_path):
    write_samples(tmp_path / "a.png", torch.randn(50, 2))
    with Image.open(tmp_path / "a.png") as written:
        pixels = np.asarray(written.convert("L"))
    assert 0.001 < (pixels < 200).mean() < 0.5


@pytest.mark.parametrize("shape", [(1, 8, 8), (2,), (5,), (2, 3, 4)])
def test_any_samples_are_written_as_numbers(tmp_path, shape):
    samples = torch.randn(4, *shape)
    write_samples(tmp_path / "a.npz", samples)
    with np.load(tmp_path / "a.npz") as archive:
        assert np.array_equal(archive["samples"], samples.numpy())


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("a.jpg", (1, 8, 8), r"samples of shape \(1, 8, 8\) .* a file ending in \.npz or \.png$"),
        ("a", (2,), r"ending in \.npz, \.png, \.csv or \.parquet$"),
        (
            "a.png",
            (5,),
            r"samples of shape \(5,\) are written to a file ending in \.npz, \.csv or \.parquet$",
        ),
        ("nowhere/a.png", (2,), "there is no folder"),
        ("folder.png", (2,), "is a folder; name a file in it"),
    ],
)
def test_a_target_is_refused_before_anything_is_drawn(tmp_path, name, shape, message):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ZooError, match=message) as error:
        check_target(tmp_path / name, shape)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(ZooError, match=message):
        write_samples(tmp_path / name, torch.zeros(1, *shape))
    assert [p.name for p in tmp_path.rglob("*")] == ["folder.png"]


def test_a_disk_that_refuses_leaves_the_old_picture(tmp_path, monkeypatch):
    write_samples(tmp_path / "a.npz", torch.zeros(1, 2))
    before = (tmp_path / "a.npz").read_bytes()

    def fill_up(file, **arrays):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(picture.np, "savez_compressed", fill_up)
    with pytest.raises(ZooError, match=r"cannot write .*a\.npz: No space left on device"):
        write_samples(tmp_path / "a.npz", torch.ones(1, 2))
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]

import gzip
import math
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fashion_data import data_root, write_fashion_mnist, write_idx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torch.nn.functional import interpolate

from zoo import data
from zoo.data.augment import flip
from zoo.data.idx import read_idx
from zoo.errors import ZooError, ZooWarning


def everything(images):
    return images.batch(torch.arange(len(images)))


def refused(ref, **options):
    """Return the one-line error of loading `ref`."""
    with pytest.raises(ZooError) as caught:
        data.load(ref, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def attempt(read, *args):
    """Return what `read` returns, or None where it is refused in one line."""
    try:
        return read(*args)
    except ZooError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    return None


# References ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("digit", "did you mean 'digits'"),
        ("folders:x", "did you mean 'folder'"),
        ("zzz", "cifar10, digits, fashion-mnist"),
        ("", "cifar10, digits, fashion-mnist"),
        ("digits:7", "expected digits"),
        ("digits:", "expected digits"),
        ("folder", "expected folder:PATH"),
        ("npz:", "expected npz:PATH"),
        ("toy:two-moon", "did you mean 'two-moons'"),
    ],
)
def test_wrong_reference(ref, hint):
    assert hint in refused(ref)


def test_bare_path_has_an_error_with_its_spelling(tmp_path):
    assert f"'folder:{tmp_path}'" in refused(str(tmp_path))
    (tmp_path / "a.npz").touch()
    assert f"'npz:{tmp_path / 'a.npz'}'" in refused(str(tmp_path / "a.npz"))
    (tmp_path / "a.png").touch()
    assert f"'folder:{tmp_path}'" in refused(str(tmp_path / "a.png"))


@pytest.mark.parametrize("kind", ["folder", "npz", "idx"])
def test_absent_path_names_the_closest(kind, tmp_path):
    (tmp_path / "photos").mkdir()
    assert "did you mean 'photos'" in refused(f"{kind}:{tmp_path}/photo")
    assert "no such" in refused(f"{kind}:{tmp_path}/nowhere/photo")


def test_a_path_of_another_kind_is_said_to_be_there(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.npz").touch()
    assert "photos is a folder, expected a file" in refused(f"npz:{tmp_path}/photos")
    assert "a.npz is a file, expected a folder" in refused(f"folder:{tmp_path}/a.npz")


@pytest.mark.parametrize("scheme", ["", "folder:", "npz:", "idx:"])
@pytest.mark.parametrize("path", ["~no-such-user/x", "x" * 300])
def test_what_is_no_path_is_an_error(scheme, path):
    assert "expected a path" in refused(scheme + path)


@pytest.mark.parametrize("options", [{"split": "tset"}, {"size": 0}, {"size": -1}])
def test_wrong_options(options):
    assert str(next(iter(options.values()))) in refused("digits", **options)


# digits, toys and Fashion-MNIST ----------------------------------------------------------------


def test_digits_fill_the_range_and_split_without_overlap():
    train, test = data.load("digits"), data.load("digits", split="test")
    assert train.shape == (1, 8, 8)
    assert train.images.dtype == torch.uint8
    assert (train.classes, train.range, len(train) + len(test)) == (10, (-1.0, 1.0), 1797)
    for split in (train, test):
        x = everything(split)
        assert x.dtype == torch.float32
        assert (float(x.min()), float(x.max())) == (-1.0, 1.0)
        assert set(split.labels.tolist()) == set(range(10))
    both = {bytes(x.flatten().tolist()) for x in torch.cat([train.images, test.images])}
    assert len(both) == 1797


def test_batch_is_a_copy():
    for ref in ("digits", "toy:checkerboard"):
        images = data.load(ref)
        before = images.images.clone()
        images.batch(torch.tensor([0, 0, 5])).zero_()
        assert torch.equal(images.images, before)


@pytest.mark.parametrize("name", ["two-moons", "checkerboard", "swiss-roll"])
def test_toys_are_reproducible_vectors_of_order_one(name):
    first, again = data.load(f"toy:{name}"), data.load(f"toy:{name}")
    test = data.load(f"toy:{name}", split="test")
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, test.images)
    assert (first.shape, first.range, first.images.dtype) == ((2,), None, torch.float32)
    assert torch.equal(everything(first), first.images)
    assert 0.3 < float(first.images.std()) < 0.7
    assert float(first.images.abs().max()) < 1.3


def test_checkerboard_fills_black_cells_alone_and_evenly():
    cell = ((data.load("toy:checkerboard").images + 1) * 2).long().clamp(0, 3)
    counts = torch.bincount(cell[:, 0] + 4 * cell[:, 1], minlength=16)
    black = (torch.arange(16) % 4 + torch.arange(16) // 4) % 2 == 0
    assert int(counts[~black].sum()) <= 2  # rounding at a border
    assert torch.all((counts[black] / 1250 - 1).abs() < 0.15)


def test_two_moons_lie_on_their_half_circles():
    moons = data.load("toy:two-moons")
    assert moons.classes == 2
    for label, sign in ((0, 1.0), (1, -1.0)):
        from_centre = moons.images[moons.labels == label] - sign * torch.tensor([-0.35, -0.175])
        assert torch.all((from_centre.norm(dim=1) - 0.7).abs() < 0.2)
        assert torch.all(sign * from_centre[:, 1] > -0.2)


def test_swiss_roll_radius_grows_with_the_angle():
    x = data.load("toy:swiss-roll").images
    turns = torch.atan2(x[:, 1], x[:, 0]) / (2 * math.pi)
    arms = (turns[:, None] + torch.arange(4)) / 2.25  # radius on each passage of this angle
    assert torch.all((arms - x.norm(dim=1, keepdim=True)).abs().amin(dim=1) < 0.2)
    assert float((arms - x.norm(dim=1, keepdim=True)).abs().amin(dim=1).mean()) < 0.03


def test_fashion_mnist(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_DATA", str(data_root(tmp_path)))
    train, test = data.load("fashion-mnist"), data.load("fashion-mnist", split="test")
    assert train.shape == test.shape == (1, 28, 28)
    assert train.images.dtype == torch.uint8
    assert (train.name, train.classes, test.classes) == ("fashion-mnist", 10, 10)
    assert len(train) > len(test) == len(test.labels)
    x = test.batch(torch.arange(100))
    assert (float(x.min()), float(x.max())) == (-1.0, 1.0)


def test_fashion_mnist_falls_back_to_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.data.named.user_cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("ZOO_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "datasets", None)  # it would ask the Hub
    message = refused("fashion-mnist")
    for part in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
        "ZOO_DATA",
        str(tmp_path / "cache" / "data" / "fashion-mnist"),
    ):
        assert part in message
    write_fashion_mnist(tmp_path / "cache" / "data")
    assert len(data.load("fashion-mnist")) == 200
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "empty"))
    assert len(data.load("fashion-mnist", split="test")) == 100


def test_fashion_mnist_without_its_labels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.data.named.user_cache", lambda: tmp_path / "cache")
    monkeypatch.setenv("ZOO_DATA", str(write_fashion_mnist(tmp_path)))
    (tmp_path / "fashion-mnist" / "train-labels-idx1-ubyte").unlink()
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "train-labels-idx1-ubyte" in refused("fashion-mnist")


# idx -------------------------------------------------------------------------------------------


def idx_bytes(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def read_bytes(raw):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(raw)
        return read_idx(path)


arrays = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, max_side=5))


@given(arrays, st.booleans())
@settings(deadline=None)
def test_idx_round_trip(array, zipped):
    raw = idx_bytes(array)
    x = read_bytes(gzip.compress(raw) if zipped else raw)
    assert x.dtype == torch.uint8
    assert np.array_equal(x.numpy(), array)


@given(arrays, st.data())
@settings(max_examples=200, deadline=None)
def test_idx_with_a_mutated_header_is_refused_or_consistent(array, draw):
    raw = bytearray(idx_bytes(array))
    header = 4 + 4 * array.ndim
    raw[draw.draw(st.integers(0, header - 1))] = draw.draw(st.integers(0, 255))
    x = attempt(read_bytes, bytes(raw))
    if x is not None:
        assert raw[:3] == b"\0\0\x08"
        assert 4 + 4 * x.ndim + x.numel() == len(raw)


@given(arrays, st.data())
@settings(deadline=None)
def test_idx_of_another_length_is_refused(array, draw):
    raw = idx_bytes(array)
    cut = raw[: draw.draw(st.integers(0, len(raw) - 1))]
    extended = raw + draw.draw(st.binary(min_size=1, max_size=3))
    for wrong in (cut, extended, gzip.compress(cut), gzip.compress(extended)):
        with pytest.raises(ZooError):
            read_bytes(wrong)


@given(arrays, st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_gzip_never_yields_other_data(array, draw):
    raw = bytearray(gzip.compress(idx_bytes(array)))
    raw[draw.draw(st.integers(0, len(raw) - 1))] ^= draw.draw(st.integers(1, 255))
    raw = raw[: draw.draw(st.integers(len(raw) // 2, len(raw)))]
    x = attempt(read_bytes, bytes(raw))
    assert x is None or np.array_equal(x.numpy(), array)


def test_idx_header_that_promises_too_much_costs_no_memory():
    lie = struct.pack(">BBBB4I", 0, 0, 8, 4, *[2**32 - 1] * 4) + b"x"
    with pytest.raises(ZooError, match="found 1 bytes"):
        read_bytes(lie)


def test_idx_folder_and_file(tmp_path):
    folder = write_fashion_mnist(tmp_path) / "fashion-mnist"
    whole, test = data.load(f"idx:{folder}"), data.load(f"idx:{folder}", split="test")
    file = data.load(f"idx:{folder}/train-images-idx3-ubyte")
    assert (len(whole), len(test), whole.classes) == (200, 100, 10)
    assert torch.equal(file.images, whole.images)
    assert torch.equal(file.labels, whole.labels)
    assert "no test split" in refused(f"idx:{folder}/train-images-idx3-ubyte", split="test")
    (folder / "train-labels-idx1-ubyte").unlink()
    assert data.load(f"idx:{folder}").labels is None
    (folder / "train-images-idx3-ubyte").unlink()
    assert "train-images-idx3-ubyte.gz" in refused(f"idx:{folder}")


def test_idx_counts_that_differ(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte", torch.zeros(3, 4, 4, dtype=torch.uint8))
    write_idx(tmp_path / "train-labels-idx1-ubyte", torch.zeros(2, dtype=torch.uint8))
    assert "labels of shape (2,) for 3 samples" in refused(f"idx:{tmp_path}")


def test_idx_file_finds_its_labels_zipped_or_not(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte", torch.zeros(2, 4, 4, dtype=torch.uint8))
    labels = idx_bytes(np.array([1, 0], dtype=np.uint8))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    assert data.load(f"idx:{tmp_path}/train-images-idx3-ubyte").labels.tolist() == [1, 0]


def test_idx_of_labels_is_no_image(tmp_path):
    write_idx(tmp_path / "labels", torch.zeros(2, dtype=torch.uint8))
    assert "expected (N, H, W)" in refused(f"idx:{tmp_path}/labels")


def test_idx_colour(tmp_path):
    write_idx(tmp_path / "colour", torch.full((2, 3, 4, 4), 255, dtype=torch.uint8))
    assert data.load(f"idx:{tmp_path}/colour").shape == (3, 4, 4)


# npz -------------------------------------------------------------------------------------------


def npz(folder, **arrays):
    np.savez(folder / "set.npz", **arrays)
    return f"npz:{folder / 'set.npz'}"


@pytest.mark.parametrize("key", ["x", "images", "arr_0"])
def test_npz_vectors_are_kept_as_given(tmp_path, key):
    x = np.random.default_rng(0).normal(3, 50, (20, 5))
    images = data.load(npz(tmp_path, **{key: x}))
    assert (images.shape, images.range, images.classes, images.name) == ((5,), None, 0, "set")
    assert np.array_equal(everything(images).numpy(), x.astype(np.float32))


@pytest.mark.parametrize("key", ["y", "labels"])
def test_npz_labels(tmp_path, key):
    images = data.load(npz(tmp_path, x=np.eye(4), **{key: np.array([0, 2, 1, 2], np.uint8)}))
    assert (images.labels.tolist(), images.classes) == ([0, 2, 1, 2], 3)
    assert images.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 6, 5), (1, 6, 5)),
        ((2, 3, 6, 5), (3, 6, 5)),
        ((2, 6, 5, 3), (3, 6, 5)),
        ((2, 3, 3, 3), (3, 3, 3)),
    ],
)
def test_npz_image_layouts(tmp_path, shape, expected):
    x = np.random.default_rng(0).integers(0, 256, shape)
    images = data.load(npz(tmp_path, x=x))
    assert (images.shape, images.images.dtype) == (expected, torch.uint8)
    moved = x[:, None] if x.ndim == 3 else x if shape[1] == 3 else np.moveaxis(x, -1, 1)
    assert np.allclose(everything(images).numpy(), moved / 127.5 - 1, atol=1e-6)


def test_npz_real_images_are_kept_as_given(tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, (3, 1, 4, 4)).astype(np.float32)
    images = data.load(npz(tmp_path, x=x))
    assert np.array_equal(everything(images).numpy(), x)
    assert images.range == (-1.0, 1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
@pytest.mark.parametrize("shape", [(4, 3), (4, 1, 2, 2)])
def test_npz_that_is_not_finite(tmp_path, bad, shape):
    x = np.zeros(shape)
    x.reshape(4, -1)[[2, 3], -1] = bad
    message = refused(npz(tmp_path, x=x))
    assert str(tmp_path / "set.npz") in message
    assert "2 of 4 samples" in message
    assert "number 2" in message


@pytest.mark.parametrize(
    ("arrays", "hint"),
    [
        ({"z": np.eye(2)}, "there is 'z'"),
        ({}, "there is none"),
        ({"x": np.zeros((2, 4, 4), np.int64) - 1}, "-1"),
        ({"x": np.full((2, 4, 4), 2.5)}, "[-1, 1]"),
        ({"x": np.zeros(3)}, "shape (3,)"),
        ({"x": np.array(3.0)}, "shape ()"),
        ({"x": np.zeros((0, 3))}, "shape (0, 3)"),
        ({"x": np.array([["a"]])}, "<U1"),
        ({"x": np.eye(2) * 1j}, "complex128"),
        ({"x": np.eye(2), "y": np.zeros(2)}, "labels of float64"),
        ({"x": np.eye(2), "y": np.array([0, -1])}, "label -1"),
        ({"x": np.eye(2), "y": np.array([0, 2**64 - 1], np.uint64)}, f"label {2**64 - 1}; labels"),
        ({"x": np.eye(2), "y": np.array([0])}, "labels of shape (1,)"),
        ({"x": np.array([{}, {}], dtype=object)}, "pickle"),
    ],
)
def test_npz_that_cannot_be_used(tmp_path, arrays, hint):
    message = refused(npz(tmp_path, **arrays))
    assert hint in message
    assert "set.npz" in message


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_damaged_npz_is_one_line(draw):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.npz"
        np.savez(path, x=np.arange(12.0).reshape(4, 3))
        raw = bytearray(path.read_bytes())
        raw[draw.draw(st.integers(0, len(raw) - 1))] ^= draw.draw(st.integers(1, 255))
        path.write_bytes(raw[: draw.draw(st.integers(len(raw) // 2, len(raw)))])
        images = attempt(data.load, f"npz:{path}")
    assert images is None or images.images.isfinite().all()


def test_npz_with_a_test_split(tmp_path):
    test = {"x_test": np.zeros((2, 2)), "y_test": np.array([1, 0])}
    ref = npz(tmp_path, x=np.eye(2), y=np.array([0, 1]), **test)
    assert torch.equal(data.load(ref).images, torch.eye(2))
    held_out = data.load(ref, split="test")
    assert torch.equal(held_out.images, torch.zeros(2, 2))
    assert held_out.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (
            np.arange(128).reshape(2, 8, 8) % 2,
            "whole numbers from 0 to 1, .*scale them to",
        ),
        (np.arange(128).reshape(2, 8, 8) % 17, "whole numbers from 0 to 16"),
        (np.arange(128).reshape(2, 8, 8) / 127, "real numbers from 0 to 1, .*give 2 x - 1"),
        (np.arange(128).reshape(2, 8, 8) / 1e4 - 0.01, "real numbers from -0.01 to 0.0027"),
    ],
)
def test_npz_images_in_another_range_are_told(tmp_path, images, told):
    with pytest.warns(ZooWarning, match=told):
        data.load(npz(tmp_path, x=images))


def test_idx_and_image_files_of_zeros_and_ones_are_told(tmp_path):
    write_idx(
        tmp_path / "train-images-idx3-ubyte", np.arange(128, dtype=np.uint8).reshape(2, 8, 8) % 2
    )
    with pytest.warns(ZooWarning, match="whole numbers from 0 to 1"):
        data.load(f"idx:{tmp_path}")
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "mask.png")
    with pytest.warns(ZooWarning, match="whole numbers from 0 to 1"):
        data.load(f"folder:{tmp_path}")


def test_npy_is_not_npz(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(2))
    assert "not an .npz archive" in refused(f"npz:{tmp_path / 'x.npy'}")


def test_sources_without_a_test_split_say_so(tmp_path):
    assert "no test split" in refused(npz(tmp_path, x=np.eye(2)), split="test")


# Folders ---------------------------------------------------------------------------------------


def picture(path, size=(8, 8), colour=128, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def test_folder_of_classes(tmp_path):
    for label, name in enumerate(["ant", "bee", "cat"]):
        for i in range(label + 1):
            picture(tmp_path / name / f"{i}.png", colour=100 * label)
    (tmp_path / "ant" / "notes.txt").write_text("not an image")
    (tmp_path / "ant" / ".hidden.png").write_text("not an image")
    (tmp_path / "empty").mkdir()
    images = data.load(f"folder:{tmp_path}")
    assert (images.shape, images.classes, images.name) == ((1, 8, 8), 3, tmp_path.name)
    assert images.labels.tolist() == [0, 1, 1, 2, 2, 2]
    assert images.images[:, 0, 0, 0].tolist() == [0, 100, 100, 200, 200, 200]


def test_folder_of_one_image(tmp_path):
    picture(tmp_path / "one.png", colour=255)
    images = data.load(f"folder:{tmp_path}")
    assert (len(images), images.labels, images.classes) == (1, None, 0)
    drawn = images.batch(torch.randint(len(images), (5,)))
    assert torch.equal(drawn, torch.ones(5, 1, 8, 8))


def test_folder_with_a_colour_image_is_colour(tmp_path):
    picture(tmp_path / "a.png", colour=50)
    picture(tmp_path / "b.png", colour=(10, 20, 30), mode="RGB")
    images = data.load(f"folder:{tmp_path}").images[:, :, 3, 3]
    assert images.tolist() == [[50, 50, 50], [10, 20, 30]]


def test_folder_with_an_unreadable_image_names_it(tmp_path):
    for i in range(5):
        picture(tmp_path / f"{i}.png", size=(64, 64))
    whole = (tmp_path / "3.png").read_bytes()
    for broken in (b"", b"no image at all", whole[:40], whole[:-30]):
        (tmp_path / "3.png").write_bytes(broken)
        assert str(tmp_path / "3.png") in refused(f"folder:{tmp_path}", size=8)


def test_folder_of_images_with_more_than_8_bits(tmp_path):
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "deep.png")
    message = refused(f"folder:{tmp_path}")
    assert "deep.png" in message
    assert "8 bits" in message


@pytest.mark.parametrize("most", [50, 20])  # Pillow warns, and refuses
def test_folder_with_an_image_of_too_many_pixels_names_it(tmp_path, monkeypatch, most):
    picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    message = refused(f"folder:{tmp_path}", size=4)
    assert f"a.png: more than {most} pixels; scale it down first" in message


def test_folder_of_several_sizes_needs_a_size(tmp_path):
    picture(tmp_path / "a.png", size=(8, 8))
    picture(tmp_path / "b.png", size=(12, 9))
    message = refused(f"folder:{tmp_path}")
    assert "12x9" in message
    assert "8x8" in message
    assert data.load(f"folder:{tmp_path}", size=6).shape == (1, 6, 6)


@pytest.mark.parametrize("tall", [False, True])
def test_folder_crops_the_centre(tmp_path, tall):
    image = Image.new("L", (10, 30) if tall else (30, 10), 0)
    image.paste(255, (0, 10, 10, 20) if tall else (10, 0, 20, 10))
    image.save(tmp_path / "a.png")
    assert int(data.load(f"folder:{tmp_path}", size=10).images.min()) == 255


def test_folder_turns_photographs_upright(tmp_path):
    image = Image.new("L", (8, 8), 0)
    image.paste(255, (0, 0, 8, 4))  # white on top
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: white on the right
    image.save(tmp_path / "a.png", exif=exif)
    x = data.load(f"folder:{tmp_path}").images[0, 0]
    assert int(x[:, 4:].min()) == 255
    assert int(x[:, :4].max()) == 0


def test_folder_splits(tmp_path):
    picture(tmp_path / "train" / "a.png", colour=1)
    assert "no test split" in refused(f"folder:{tmp_path}", split="test")
    picture(tmp_path / "test" / "a.png", colour=2)
    assert int(data.load(f"folder:{tmp_path}").images[0, 0, 0, 0]) == 1
    test = data.load(f"folder:{tmp_path}", split="test")
    assert (int(test.images[0, 0, 0, 0]), test.classes) == (2, 0)


def test_folders_name_their_classes(tmp_path):
    for name in ("dogs", "cats", "Quoll"):
        picture(tmp_path / name / "a.png")
    assert data.load(f"folder:{tmp_path}").class_names == ("Quoll", "cats", "dogs")
    (tmp_path / "cats").rename(tmp_path / "c\x1b[31m")
    assert r"'c\x1b[31m' has no printable name; rename its folder" in refused(f"folder:{tmp_path}")


def test_folder_splits_have_the_classes_of_train(tmp_path):
    """The test split lacks a class, so the numbers of those after it must not move."""
    for name in ("train/cat", "train/dog", "train/emu", "test/cat", "test/emu"):
        picture(tmp_path / name / "a.png")
    test = data.load(f"folder:{tmp_path}", split="test")
    assert (test.labels.tolist(), test.classes) == ([0, 2], 3)
    picture(tmp_path / "test" / "yak" / "a.png")
    assert "classes yak, which the train folder" in refused(f"folder:{tmp_path}", split="test")


@pytest.mark.parametrize("inside", ["", "cat"])
@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "Testing", "VAL"])
def test_folder_with_train_and_another_name_has_these_splits(tmp_path, name, inside):
    train = "Training" if name == "Testing" else "train"
    for i in range(3):
        picture(tmp_path / train / inside / f"{i}.png", colour=50)
    picture(tmp_path / name / inside / "0.png", colour=200)
    images = data.load(f"folder:{tmp_path}")
    test = data.load(f"folder:{tmp_path}", split="test")
    assert (len(images), int(images.images.max())) == (3, 50)
    assert (len(test), int(test.images.max())) == (1, 200)
    assert images.classes == test.classes == bool(inside)


def test_folder_with_test_and_val_tests_on_test(tmp_path):
    for colour, name in enumerate(("train", "val", "test"), 100):
        picture(tmp_path / name / "a.png", colour=colour)
    assert int(data.load(f"folder:{tmp_path}", split="test").images.max()) == 102


def test_folder_where_train_is_a_class(tmp_path):
    """A class of vehicles."""
    for name in ("bus", "train"):
        picture(tmp_path / name / "a.png")
    assert data.load(f"folder:{tmp_path}").classes == 2


@pytest.mark.parametrize("other", ["extra/b.png", "readme.png"])
def test_folder_with_images_beside_its_splits_says_that_they_are_left_out(tmp_path, other):
    for name in ("train/a.png", "test/a.png", other):
        picture(tmp_path / name)
    with pytest.warns(ZooWarning, match=rf"{other}: lies beside the splits train/ and test/"):
        assert len(data.load(f"folder:{tmp_path}")) == 1


def test_folder_reads_images_at_any_depth(tmp_path):
    places = ("cat/0.png", "cat/1.png", "cat/more/2.png", "dog/one/0.png", "dog/two/deep/1.png")
    for colour, name in enumerate(places, 100):
        picture(tmp_path / name, colour=colour)
    (tmp_path / "dog" / "one" / "loop").symlink_to(tmp_path / "dog")
    (tmp_path / "cat" / "up").symlink_to(tmp_path)
    (tmp_path / "all").symlink_to(tmp_path)
    images = data.load(f"folder:{tmp_path}")
    assert (images.labels.tolist(), images.classes) == ([0, 0, 0, 1, 1], 2)
    assert images.images[:, 0, 0, 0].tolist() == [100, 101, 102, 103, 104]


def test_folder_drops_transparency_without_a_word(tmp_path):
    """A palette whose entries are each more or less opaque; warnings are errors in tests."""
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(tmp_path / "a.png", transparency=bytes([0, 128]))
    assert everything(data.load(f"folder:{tmp_path}"))[0, :, 0, 0].tolist() == [1, -1, -1]


def test_folder_without_order(tmp_path):
    assert "no image files" in refused(f"folder:{tmp_path}")
    picture(tmp_path / "a.png")
    picture(tmp_path / "class" / "b.png")
    assert "images and subfolders" in refused(f"folder:{tmp_path}")


# Sizes and flips -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4, 8, 13])
def test_resize_commutes_with_mirroring(size, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (5, 1, 9, 9))
    here = data.load(npz(tmp_path, x=x), size=size)
    mirrored = data.load(npz(tmp_path, x=x[..., ::-1]), size=size)
    assert here.shape == (1, size, size)
    assert here.images.dtype == torch.uint8
    assert (here.images.flip(-1).int() - mirrored.images.int()).abs().max() <= 1


def test_resize_keeps_flat_images_and_crops_the_centre(tmp_path):
    x = np.full((3, 1, 8, 24), -0.5)
    x[..., 8:16] = 0.25
    images = data.load(npz(tmp_path, x=x), size=8)
    assert torch.all(images.images == 0.25)
    flat = data.load(npz(tmp_path, x=np.full((3, 8, 9), 77)), size=5)
    assert torch.all(flat.images == 77)


@pytest.mark.parametrize("size", [5, 1, 24])
def test_of_narrow_images_only_the_middle_is_scaled(size, tmp_path, monkeypatch):
    sizes = []

    def noted(x, scaled, **options):
        sizes.append(scaled)
        return interpolate(x, scaled, **options)

    x = torch.rand(2, 1, 3, 60, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole = interpolate(x, (size, 20 * size), mode="bilinear", antialias=True)
    start = (20 * size - size) // 2
    monkeypatch.setattr("zoo.data.images.interpolate", noted)
    found = data.load(npz(tmp_path, x=x.numpy()), size=size).images
    torch.testing.assert_close(found, whole[..., start : start + size], rtol=0, atol=1e-5)
    assert sizes == [(size, 4 * size)]


def test_resized_digits_use_all_the_levels_of_a_byte():
    digits, larger = data.load("digits"), data.load("digits", size=16)
    assert larger.shape == (1, 16, 16)
    assert len(larger.images.unique()) > 17
    assert abs(float(everything(larger).mean() - everything(digits).mean())) < 0.02
    assert torch.equal(larger.labels, digits.labels)


def test_vectors_have_no_size():
    assert "vectors" in refused("toy:two-moons", size=8)


def test_flip_mirrors_half_of_the_images_and_nothing_else():
    x = torch.arange(1000 * 6.0).reshape(1000, 1, 2, 3)
    out = flip(x, torch.Generator().manual_seed(0))
    again = flip(x, torch.Generator().manual_seed(0))
    same = (out == x).flatten(1).all(dim=1)
    mirrored = (out == x.flip(-1)).flatten(1).all(dim=1)
    assert torch.all(same ^ mirrored)
    assert 430 < int(mirrored.sum()) < 570
    assert torch.equal(out, again)


def test_flip_refuses_vectors():
    with pytest.raises(ZooError, match="images"):
        flip(torch.zeros(4, 2))


def test_one_value_far_away_does_not_round_the_others(tmp_path):
    x = 1e6 + 1e-3 * np.random.default_rng(0).normal(size=(500, 1))
    x[7] = 0.0
    np.savez(tmp_path / "x.npz", x=x)
    found = data.load(f"npz:{tmp_path / 'x.npz'}").images
    assert len(found.unique()) == 500
    assert torch.equal(found, torch.from_numpy(x))

"""hf:OWNER/NAME through the package datasets, on data sets that lie on this disk; and CIFAR-10."""

import io
import shutil
import socket
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image

from zoo import data
from zoo.data.named import load_cifar10
from zoo.errors import ZooError

CLASSES = datasets.ClassLabel(names=["ant", "bee", "cat"])


@pytest.fixture(autouse=True)
def _offline(tmp_path, monkeypatch):
    """The code that reads the Hub, with caches of its own and no network."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def encoded(colour, size=(6, 6)):
    stream = io.BytesIO()
    Image.new("RGB" if isinstance(colour, tuple) else "L", size, colour).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def write(folder, split, colours, **more):
    """Write one split as parquet, as the Hub holds them; return the reference."""
    features = {"image": datasets.Image(), "label": CLASSES}
    columns = {
        "image": [c if isinstance(c, dict) else encoded(c) for c in colours],
        "label": [i % 3 for i in range(len(colours))],
    }
    for name, (kind, values) in more.items():
        features[name], columns[name] = kind, values
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    folder.mkdir(exist_ok=True)
    table.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return f"hf:{folder}"


def refused(ref, **options):
    with pytest.raises(ZooError) as caught:
        data.load(ref, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_images_labels_and_splits(tmp_path):
    write(tmp_path / "set", "train", [10, 20, 30, 40])
    ref = write(tmp_path / "set", "test", [50, 60])
    train, test = data.load(ref), data.load(ref, split="test")
    assert (train.shape, train.classes, train.name) == ((1, 6, 6), 3, "set")
    assert train.images[:, 0, 0, 0].tolist() == [10, 20, 30, 40]
    assert train.labels.tolist() == [0, 1, 2, 0]
    assert test.images[:, 0, 0, 0].tolist() == [50, 60]
    assert test.classes == 3


def test_secret_labels_are_none(tmp_path):
    secret = {"label": (CLASSES, [-1, -1])}
    test = data.load(write(tmp_path / "set", "test", [50, 60], **secret), split="test")
    assert (test.labels, test.classes) == (None, 0)
    ref = write(tmp_path / "half", "train", [50, 60], label=(CLASSES, [1, -1]))
    assert "label -1; labels are class numbers" in refused(ref)


def test_colour_and_size(tmp_path):
    ref = write(tmp_path / "set", "train", [encoded((1, 2, 3), (9, 5)), encoded(7, (5, 9))])
    images = data.load(ref, size=4)
    assert images.images[:, :, 2, 2].tolist() == [[1, 2, 3], [7, 7, 7]]
    assert images.shape == (3, 4, 4)
    assert "9x5" in refused(ref)


def test_options_choose_splits_and_columns(tmp_path):
    kinds = {
        "other": (datasets.Image(), [encoded(99), encoded(98)]),
        "coarse": (datasets.Value("int64"), [1, 0]),
    }
    ref = write(tmp_path / "set", "validation", [1, 2], **kinds)
    assert "no test split" not in refused(ref)
    assert "2 columns look like images; there are image, label, other and coarse" in refused(
        f"{ref}?train=validation"
    )
    chosen = data.load(f"{ref}?train=validation&image=other&label=coarse")
    assert chosen.images[:, 0, 0, 0].tolist() == [99, 98]
    assert (chosen.labels.tolist(), chosen.classes) == ([1, 0], 2)
    held_out = data.load(f"{ref}?test=validation&image=image", split="test")
    assert held_out.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("?imge=x", "did you mean 'image'"),
        ("?image=imag", "did you mean 'image'"),
        ("?image=", "image is empty"),
        ("?image", "is not like image=img&label=label"),
        ("?image=label", "the column 'label' holds no images"),
        ("?label=image", "the column 'image' holds no class numbers"),
        ("?train=training", "split 'training': cannot be loaded"),
    ],
)
def test_wrong_options_are_errors_of_one_line(tmp_path, query, hint):
    ref = write(tmp_path / "set", "train", [1, 2])
    assert hint in refused(ref + query)


def test_an_unreadable_image_is_named(tmp_path):
    broken = {"bytes": encoded(3)["bytes"][:40], "path": None}
    ref = write(tmp_path / "set", "train", [encoded(1), broken, encoded(2)])
    assert f"{ref}, number 1: not a readable image" in refused(ref)


def test_a_data_set_that_is_not_there_is_an_error(tmp_path):
    assert "cannot be loaded" in refused(f"hf:{tmp_path}/nowhere")
    assert "expected hf:OWNER/NAME" in refused("hf")


def test_without_the_package_the_error_has_the_pip_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install 'fieldzoo[data]'" in refused("hf:someone/something")


@pytest.fixture
def silent(monkeypatch):
    """A client that may go online, and a Hub at a port where nothing listens."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")


def test_a_hub_that_does_not_answer_is_an_error_at_once(silent, capfd, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("waited"))
    message = refused("hf:someone/something")
    assert message.startswith(
        "hf:someone/something: it is not on this disk and the Hub cannot be ask"
    )
    assert "ConnectError" in message
    assert capfd.readouterr().err == ""
    assert (datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE) == (False, False)


def test_what_is_on_this_disk_is_used_where_the_hub_does_not_answer(silent, tmp_path, monkeypatch):
    """As `datasets` keeps what it once fetched: a folder per data set, configuration and commit."""
    kept = datasets.config.HF_DATASETS_CACHE / "someone___something" / "default" / "0.0.0" / "abc"
    write(tmp_path / "set", "train", [10, 20, 30])
    table = datasets.load_dataset(str(tmp_path / "set"), split="train")
    kept.mkdir(parents=True)
    (source,) = {Path(file["filename"]).parent for file in table.cache_files}
    shutil.copytree(source, kept, dirs_exist_ok=True)
    for file in kept.glob("*-train.arrow"):
        file.rename(kept / "something-train.arrow")
    assert len(data.load("hf:someone/something")) == 3
    assert 'Unknown split "test"' in refused("hf:someone/something", split="test")


# CIFAR-10 --------------------------------------------------------------------------------------


def write_cifar10(folder, records=4):
    """Write small files of the binary version: image i of class i % 10 is red i, green 2 i, ..."""
    folder.mkdir(parents=True)
    for number in range(6):
        i = np.arange(records, dtype=np.uint8) + records * number
        channels = np.repeat(np.stack([i, 2 * i, 3 * i], 1), 1024, axis=1)
        name = f"data_batch_{number + 1}.bin" if number < 5 else "test_batch.bin"
        np.concatenate([i[:, None] % 10, channels], 1).astype(np.uint8).tofile(folder / name)


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """The folder in which CIFAR-10 is looked for; no package datasets."""
    monkeypatch.setattr("zoo.data.named.user_cache", lambda: tmp_path / "user")
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setitem(sys.modules, "datasets", None)
    return tmp_path / "cifar10"


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_cifar10_from_its_binary_files(cifar, inner):
    write_cifar10(cifar / inner)
    train, test = data.load("cifar10"), data.load("cifar10", split="test")
    assert (train.shape, len(train), len(test), train.classes) == ((3, 32, 32), 20, 4, 10)
    assert train.images[7, :, 5, 6].tolist() == [7, 14, 21]
    assert train.labels.tolist() == [i % 10 for i in range(20)]
    assert test.images[0, :, 0, 0].tolist() == [20, 40, 60]
    assert test.labels.tolist() == [0, 1, 2, 3]
    assert train.batch(torch.arange(3)).abs().max() <= 1


def test_cifar10_that_is_not_there_says_how_to_get_it(cifar):
    message = refused("cifar10")
    for part in (
        "data_batch_1.bin",
        str(cifar),
        "cifar-10-binary.tar.gz",
        "ZOO_DATA",
        "fieldzoo[d",
    ):
        assert part in message


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" + bytes(3072)])
def test_broken_cifar10_is_an_error(cifar, content):
    write_cifar10(cifar)
    (cifar / "data_batch_3.bin").write_bytes(content)
    assert "data_batch_3.bin" in refused("cifar10")


def test_cifar10_comes_from_the_hub_where_the_package_is(cifar, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", datasets)
    kinds = {"img": (datasets.Image(), [encoded((1, 2, 3), (32, 32))])}
    ref = write(tmp_path / "parquet", "train", [encoded(0)], **kinds)
    place = ref.removeprefix("hf:") + "?image=img&label=label"
    monkeypatch.setitem(load_cifar10.keywords, "hub", place)
    found = data.load("cifar10")
    assert (found.shape, found.name) == ((3, 32, 32), "cifar10")
    monkeypatch.setitem(load_cifar10.keywords, "hub", f"{tmp_path}/nowhere")
    assert "or let it come from the Hub" in refused("cifar10")

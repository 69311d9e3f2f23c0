"""What is hashed is what is loaded: weights are read once, into memory of their own."""

import os
import shutil
import struct
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load, save
from tiny_models import points

import zoo
from zoo.config.model import WeightFile
from zoo.errors import ZooError
from zoo.folder.read import DamagedFile, check_file, describe, opened
from zoo.formats.tensors import read_weights

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two models of one config.json but for the hash of their weights."""
    place = tmp_path_factory.mktemp("two")
    folders = []
    for shift in (0, 1):
        model = points(width=64)
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter += shift
        folders.append(model.save_pretrained(place / str(shift)))
    return folders


def state(model):
    return {k: v.clone() for k, v in model.network.state_dict().items()}


def equal(first, second):
    return all(torch.equal(first[k], second[k]) for k in first)


def test_weights_that_are_swapped_meanwhile_are_refused_or_right(two, tmp_path):
    folder = shutil.copytree(two[0], tmp_path / "model")
    right, stop = state(zoo.load(two[0])), threading.Event()

    def swap():
        count = 0
        while not stop.is_set():
            count += 1
            passing = folder / f".{count}"
            shutil.copyfile(two[count % 2] / WEIGHTS, passing)
            passing.replace(folder / WEIGHTS)

    writer = threading.Thread(target=swap)
    writer.start()
    loaded = 0
    try:
        for _ in range(60):
            try:
                found = state(zoo.load(folder))
            except ZooError as error:
                assert "sha256" in str(error) or "while it was read" in str(error)  # noqa: PT017
                continue
            loaded += 1
            assert equal(found, right)
    finally:
        stop.set()
        writer.join()
    assert loaded


def test_a_file_that_takes_the_place_of_the_checked_one_is_checked_too(two, tmp_path):
    path, expected = tmp_path / WEIGHTS, describe(two[0] / WEIGHTS)
    shutil.copyfile(two[0] / WEIGHTS, path)
    check_file(path, expected)
    shutil.copyfile(two[1] / WEIGHTS, tmp_path / "other")
    (tmp_path / "other").replace(path)
    with pytest.raises(DamagedFile, match="changed or damaged"):
        read_weights([path], lambda p: opened(p, expected))


def read_while_it_changes(path, expected, other):
    with opened(path, expected) as (file, size):
        file.readinto(memoryview(bytearray(100)))
        shutil.copyfile(other, path)
        file.readinto(memoryview(bytearray(size - 100)))


def test_a_file_written_into_while_it_is_read_is_refused(two, tmp_path):
    path, expected = tmp_path / WEIGHTS, describe(two[0] / WEIGHTS)
    shutil.copyfile(two[0] / WEIGHTS, path)
    for known in (False, True):
        if known:
            shutil.copyfile(two[0] / WEIGHTS, path)
            check_file(path, expected)
        with pytest.raises(DamagedFile):
            read_while_it_changes(path, expected, two[1] / WEIGHTS)


@pytest.mark.parametrize("harm", ["overwritten", "truncated", "removed"])
def test_a_loaded_model_is_not_the_file(two, tmp_path, harm):
    """A mapped file changes samples when it is written to, and kills the process when cut."""
    folder = shutil.copytree(two[0], tmp_path / "model")
    model = zoo.load(folder)
    before = state(model)
    if harm == "overwritten":
        shutil.copyfile(two[1] / WEIGHTS, folder / WEIGHTS)
    elif harm == "truncated":
        os.truncate(folder / WEIGHTS, 0)
    else:
        shutil.rmtree(folder)
    assert equal(state(model), before)
    assert torch.equal(
        model.sample(3, seed=0, steps=2), zoo.load(two[0]).sample(3, seed=0, steps=2)
    )


def test_where_the_cache_cannot_be_written_the_hash_is_of_what_is_read(two, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "x"))
    zoo.load(two[0])
    path = two[0] / WEIGHTS
    wrong = WeightFile(path.stat().st_size, "0" * 64)
    with pytest.raises(DamagedFile):
        read_weights([path], lambda p: opened(p, wrong))


# The format, as the library itself reads it

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8]
DTYPES += [torch.bool, torch.int8, torch.int16, torch.int32, torch.complex64]
SHAPES = st.lists(st.integers(0, 4), max_size=4)


@given(st.lists(st.tuples(st.sampled_from(DTYPES), SHAPES), max_size=6), st.booleans())
def test_all_that_the_library_writes_is_read(tmp_path_factory, tensors, described):
    generator = torch.Generator().manual_seed(0)
    held = {}
    for number, (dtype, shape) in enumerate(tensors):
        raw = torch.randint(0, 2, shape, generator=generator)
        held[f"t{number}"] = raw.to(dtype)
    path = tmp_path_factory.mktemp("read") / "a.safetensors"
    path.write_bytes(save(held, {"format": "pt"} if described else None))
    found = read_weights([path])
    assert found.keys() == held.keys()
    for name, tensor in held.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


@given(st.data())
def test_what_the_library_refuses_is_refused(tmp_path_factory, data):
    """Any bytes of a file changed: both read the same tensors, or this one refuses."""
    content = bytearray(save({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1).half()}))
    (length,) = struct.unpack("<Q", content[:8])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, 7 + length))
        content[at] = data.draw(st.integers(0, 255) | st.sampled_from([*b'0123456789[]{},:"']))
    content = content[: data.draw(st.sampled_from([None, -1, 8, 20]))]
    path = tmp_path_factory.mktemp("read") / "a.safetensors"
    path.write_bytes(content)
    try:
        theirs = load(bytes(content))
    except (SafetensorError, AssertionError, KeyError, RuntimeError, ValueError):
        theirs = None
    try:
        ours = read_weights([path])
    except ZooError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    assert theirs is not None
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype
        assert torch.equal(tensor.nan_to_num(), theirs[name].nan_to_num())

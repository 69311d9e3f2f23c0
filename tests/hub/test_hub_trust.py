"""Model folders from strangers: whatever is in them, one line of error and no code of theirs."""

import json
import logging
import os
import pickle
import resource
import shutil
import struct
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from tiny_models import points

import zoo
from zoo.errors import ZooError
from zoo.models.locate import pull

MODEL = "model.safetensors"
SECONDS, BYTES = 10.0, 10**9


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A sound model folder; every mutation starts from it."""
    return points(width=8).save_pretrained(tmp_path_factory.mktemp("good") / "good")


@contextmanager
def limited():
    """Refuse this process more than BYTES on top of what it has, whatever it had at its peak."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def refuse(folder, match=None):
    """Load a folder that must not load: one line, in time, without taking memory."""
    start = time.thread_time()
    with limited(), pytest.raises(ZooError, match=match) as caught:
        zoo.load(folder)
    assert "\n" not in str(caught.value)
    assert time.thread_time() - start < SECONDS


def test_the_limit_of_memory_would_be_felt():
    # Twice the limit: threads of earlier tests may give address space back in between.
    with limited(), pytest.raises((MemoryError, RuntimeError)):
        torch.empty(BYTES // 4 * 2).fill_(1.0)
    torch.empty(2**20).fill_(1.0)


def test_the_folder_that_all_start_from_is_sound(good):
    assert zoo.load(good).sample(2, seed=0, steps=2).shape == (2, 2)


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory):
    """Load a model with classes: torch imports the initialisers of embeddings at the first one."""
    zoo.load(points(labels=2).save_pretrained(tmp_path_factory.mktemp("warm") / "warm"))


# config.json, field by field

SOUND = {
    "format": 1,
    "data": {"shape": [2], "range": [-1, 1]},
    "kernel": {"use": "gravity"},
    "prior": {"use": "gravity"},
    "network": {"use": "mlp", "width": 8, "blocks": 1},
    "solver": {"use": "heun", "steps": 18},
    "weights": {"files": {MODEL: {"size": 1, "sha256": "0" * 64}}},
    "requires": ["fieldzoo>=0.1"],
}
DEEP: list = []
for _ in range(400):
    DEEP = [DEEP]
WRONG = {
    "null": None,
    "true": True,
    "minus": -1,
    "zero": 0,
    "fraction": 0.5,
    "huge": 2**70,
    "large": 10**6,
    "float": 1e308,
    "path": "../../x",
    "import": "os:system",
    "long": "x" * 10_000,
    "newline": "gravity\n",
    "empty": "",
    "list": [],
    "object": {},
    "deep": DEEP,
    "listed": [["x"]],
}
# What is no mistake: no range at all, an empty list of requirements or weights elsewhere.
FINE = {("data.range", "null"), ("requires", "list")}


def paths(value, under=()):
    for key, inner in value.items():
        yield (*under, key)
        if isinstance(inner, dict):
            yield from paths(inner, (*under, key))


def at(config, path):
    for key in path:
        config = config[key]
    return config


def name(path):
    return ".".join(path)


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "mutated")


def write(folder, config):
    (folder / "config.json").write_text(json.dumps(config))


def sound(folder):
    """SOUND with the real file's size and hash."""
    config = json.loads(json.dumps(SOUND))
    content = (folder / MODEL).read_bytes()
    config["weights"]["files"][MODEL] = {
        "size": len(content),
        "sha256": sha256(content).hexdigest(),
    }
    return config


def test_the_config_that_all_start_from_is_sound(folder):
    write(folder, sound(folder))
    assert zoo.load(folder).steps == 18


@pytest.mark.parametrize("path", [*paths(SOUND)], ids=name)
@pytest.mark.parametrize("wrong", [*WRONG])
def test_a_field_of_another_kind(folder, path, wrong):
    if (name(path), wrong) in FINE:
        assert wrong in ("null", "list")
        return
    config = sound(folder)
    at(config, path[:-1])[path[-1]] = WRONG[wrong]
    write(folder, config)
    refuse(folder)


@pytest.mark.parametrize(
    "path",
    [p for p in paths(SOUND) if name(p) not in ("data.range", "solver.steps", "requires")],
    ids=name,
)
def test_a_field_dropped(folder, path):
    config = sound(folder)
    del at(config, path[:-1])[path[-1]]
    write(folder, config)
    refuse(folder)


@pytest.mark.parametrize(
    "path", [(), *(p for p in paths(SOUND) if isinstance(at(SOUND, p), dict))], ids=name
)
@pytest.mark.parametrize("key", ["auto_map", "__class__", "code", "dim", "shape ", ""])
def test_a_key_that_nobody_knows(folder, path, key):
    config = sound(folder)
    at(config, path)[key] = "evil.py"
    write(folder, config)
    refuse(folder)


@pytest.mark.parametrize("part", [0, 1, 2, 10, 50, 100, 200, 300, -2, -3])
def test_a_config_cut_short(folder, part):
    content = (folder / "config.json").read_bytes()
    (folder / "config.json").write_bytes(content[:part])
    refuse(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04.",
        b"\xff\xfe{}",
        b"null",
        b"[]",
        b"[" * 900_000,
        b'{"a":' * 150_000,
        b" " * 2_000_000,
        b'{"format": 1, "format": 1}',
        b'{"format": NaN}',
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_config_that_is_something_else(folder, content):
    (folder / "config.json").write_bytes(content)
    refuse(folder)


@pytest.mark.parametrize(
    "file",
    [
        *("../model.safetensors", "/etc/passwd", "/tmp/model.safetensors", "a/b.safetensors"),
        *("..", ".", "", "model.pt", "model.safetensors\n", "model.safetensors\0.safetensors"),
        *("..\\model.safetensors", "x" * 300 + ".safetensors", ".hidden.safetensors", "a.py"),
    ],
)
def test_a_weight_file_with_a_name_that_leads_elsewhere(folder, file):
    config = sound(folder)
    config["weights"]["files"] = {file: config["weights"]["files"][MODEL]}
    write(folder, config)
    refuse(folder)


@pytest.mark.parametrize("requirement", ["x @ https://x.org/x.whl", "!", "-r /etc/passwd", "a\nb"])
def test_a_requirement_that_is_none(folder, requirement):
    config = sound(folder) | {"requires": [requirement]}
    write(folder, config)
    refuse(folder, "requires")


def test_an_absent_plugin_is_named_and_not_installed(folder):
    write(folder, sound(folder) | {"requires": ["zoo-unheard-of>=2"]})
    refuse(folder, "pip install 'zoo-unheard-of>=2'")


@pytest.mark.parametrize(
    "options",
    [
        {"width": 10**6},
        {"width": 10**9, "blocks": 10**9},
        {"blocks": 10**8},
        {"blocks": 3},
        {"labels": 10**9},
        {"labels": 2**40},
        {"dropout": 7},
    ],
    ids=str,
)
def test_a_network_too_large_for_its_weights_is_not_built(folder, options):
    config = sound(folder)
    config["network"] |= options
    write(folder, config)
    refuse(folder)


def test_a_network_without_weights_is_not_made_up(folder):
    config = sound(folder)
    config["weights"] = {}
    write(folder, config)
    refuse(folder, "missing")


# Weights


def replace_weights(folder, content):
    """Put other weights in, with a config.json that vouches for them."""
    (folder / MODEL).write_bytes(content)
    write(folder, sound(folder))


def taken_apart(folder):
    content = (folder / MODEL).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def put_together(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 40, 100, 500, -1, -4, -100])
def test_weights_cut_short(folder, keep):
    replace_weights(folder, (folder / MODEL).read_bytes()[:keep])
    refuse(folder, "safetensors")


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**31, 2**40, 2**63, 2**64 - 1])
def test_a_header_of_another_length(folder, length):
    content = (folder / MODEL).read_bytes()
    replace_weights(folder, struct.pack("<Q", length) + content[8:])
    refuse(folder)


def test_a_header_of_hundreds_of_thousands_of_tensors(folder):
    header = {
        f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(100_000)
    }
    replace_weights(folder, put_together(header, b""))
    refuse(folder, "header")


CHANGES = {
    "shape": {"shape": [1]},
    "negative shape": {"shape": [-1]},
    "huge shape": {"shape": [2**62, 2**62]},
    "float shape": {"shape": [1.5]},
    "no such dtype": {"dtype": "PICKLE"},
    "integers": {"dtype": "I32"},
    "double": {"dtype": "F64"},
    "half": {"dtype": "F16"},
    "before": {"data_offsets": [-8, 0]},
    "behind": {"data_offsets": [10**9, 10**9 + 4]},
    "backwards": {"data_offsets": [4, 0]},
    "overlapping": {"data_offsets": [0, 4]},
    "extra": {"code": "import os"},
    "everything": {"data_offsets": [0, 2**63]},
}


@pytest.mark.parametrize("change", [c for c in CHANGES if c != "extra"])
@pytest.mark.parametrize("which", [0, 3, -1])
def test_a_tensor_described_wrongly(folder, change, which):
    header, data = taken_apart(folder)
    tensor = [key for key in header if key != "__metadata__"][which]
    header[tensor] |= CHANGES[change]
    replace_weights(folder, put_together(header, data))
    refuse(folder)


@pytest.mark.parametrize("new", ["", "../x", "__metadata__", "x" * 10_000, "a\nb"])
@pytest.mark.parametrize("which", [0, -1])
def test_a_tensor_of_another_name(folder, new, which):
    header, data = taken_apart(folder)
    tensor = [key for key in header if key != "__metadata__"][which]
    header[new] = header.pop(tensor)
    replace_weights(folder, put_together(header, data))
    refuse(folder)


def test_a_tensor_too_many(folder):
    header, data = taken_apart(folder)
    spot = [len(data), len(data) + 4]
    header["more"] = {"dtype": "F32", "shape": [1], "data_offsets": spot}
    replace_weights(folder, put_together(header, data + b"\0" * 4))
    refuse(folder, "'more' is not one of the network's")


def test_a_tensor_of_whole_numbers(folder):
    header, data = taken_apart(folder)
    for tensor in header:
        if tensor != "__metadata__":
            header[tensor]["dtype"] = "I32"
    replace_weights(folder, put_together(header, data))
    refuse(folder, "int32")


@pytest.mark.parametrize("byte", range(0, 200, 20))
def test_one_changed_byte(folder, byte):
    content = bytearray((folder / MODEL).read_bytes())
    content[-1 - byte] ^= 1
    (folder / MODEL).write_bytes(content)
    refuse(folder, "sha256")


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_pickle_that_calls_itself_safetensors(folder, tmp_path):
    replace_weights(folder, pickle.dumps({"weight": Bomb(tmp_path / "went-off")}))
    refuse(folder, "safetensors")
    assert not (tmp_path / "went-off").exists()


# Files that are not files


@pytest.mark.parametrize("file", ["config.json", "README.md", MODEL])
def test_a_link_out_of_the_folder(folder, tmp_path, file):
    (folder / file).rename(tmp_path / "outside")
    (folder / file).symlink_to(tmp_path / "outside")
    refuse(folder, "link")


@pytest.mark.parametrize("first", ["passing", "../../blobs/passing"])
def test_a_link_out_of_the_folder_by_way_of_another(good, tmp_path, first):
    """Also where the folder looks like one of the Hub's cache."""
    folder = shutil.copytree(good, tmp_path / "in" / "a" / "snapshots" / "b")
    (folder / MODEL).rename(tmp_path / "outside")
    (tmp_path / "in" / "a" / "blobs").mkdir()
    (folder / first).symlink_to(tmp_path / "outside")
    (folder / MODEL).symlink_to(first)
    refuse(folder, "link out of its folder")


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "../nowhere", MODEL])
def test_a_link_to_anything(folder, target):
    (folder / MODEL).unlink()
    (folder / MODEL).symlink_to(target)
    refuse(folder)


@pytest.mark.parametrize("file", ["config.json", MODEL])
def test_a_folder_or_a_pipe_in_place_of_a_file(folder, file):
    (folder / file).unlink()
    (folder / file).mkdir()
    refuse(folder)
    (folder / file).rmdir()
    os.mkfifo(folder / file)
    refuse(folder)


@pytest.mark.parametrize(
    "card",
    [b"# no front matter\n", b"---\nlicense: mit\n", b"\xff\xfe\x00", b"---\n" + b"x" * 1_100_000],
    ids=["plain", "open", "binary", "huge"],
)
def test_a_card_that_is_none(folder, card):
    (folder / "README.md").write_bytes(card)
    refuse(folder)


# The same through the Hub


def test_code_in_a_repository_stays_there(hub, folder, tmp_path, caplog):
    (folder / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    hub.store.add_folder("eve/evil", folder)
    with caplog.at_level(logging.WARNING):
        zoo.load("eve/evil")
    assert "modeling.py" in caplog.text
    assert not (tmp_path / "ran").exists()
    assert hub.asked("GET", "modeling.py") == []


def test_a_config_too_large_is_not_fetched(hub):
    hub.store.add("eve/evil", {"config.json": b" " * 1_000_001})
    with pytest.raises(ZooError, match="at most 1000000 are fetched"):
        pull("eve/evil")
    assert hub.asked("GET", "/resolve/") == []


@pytest.mark.parametrize("key", ["size", "sha256"])
def test_weights_that_are_not_the_configs_are_not_fetched(hub, folder, key):
    config = sound(folder)
    config["weights"]["files"][MODEL][key] = 12 if key == "size" else "0" * 64
    write(folder, config)
    hub.store.add_folder("eve/evil", folder)
    with pytest.raises(ZooError, match=f"{MODEL} has ") as caught:
        pull("eve/evil")
    assert "\n" not in str(caught.value)
    assert hub.asked("GET", MODEL) == []


@pytest.mark.parametrize("revision", ["../../x", "/etc/passwd", "a/../../b", "-f", "a b", "\0"])
def test_a_revision_that_leads_elsewhere(hub, folder, tmp_path, revision):
    hub.store.add_folder("eve/evil", folder)
    with pytest.raises(ZooError, match="not a branch, tag or commit"):
        pull("eve/evil", revision=revision)
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize("repo", ["../../x", "a", "a/b/c", "", "a/..", "https://x.org/y"])
def test_weights_in_a_repository_that_is_none(hub, folder, repo):
    config = sound(folder)
    config["weights"]["repo"] = repo
    write(folder, config)
    refuse(folder)

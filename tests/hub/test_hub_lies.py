"""A server that says one thing and sends another: nothing outside the cache, nothing that stays."""

import threading
from contextlib import suppress

import pytest
import torch
from fake_hub.replies import failure

import zoo
from zoo.errors import ZooError
from zoo.models.locate import pull

REPO = "ada/tiny"
FILES = ["config.json", "README.md", "model.safetensors"]
WEIGHTS = "model.safetensors"


@pytest.fixture
def pushed(hub, saved):
    return hub.store.add_folder(REPO, saved)


def samples(ref=REPO):
    return zoo.load(ref).sample(4, seed=0, steps=3)


def files(folder):
    """Every file under a folder, links not followed."""
    return {path for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


def refused(match=None):
    """Load the model, which has to fail in one line."""
    with pytest.raises(ZooError, match=match) as caught:
        zoo.load(REPO)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) <= 500
    return text


@pytest.fixture
def elsewhere(tmp_path):
    """Look, at the end, whether anything is where only the cache should write."""
    yield tmp_path / "elsewhere"
    outside = [p for p in files(tmp_path) if p.relative_to(tmp_path).parts[0] not in OWN]
    assert outside == []


OWN = ("hf", "zoo-cache")


# Headers decide nothing


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("header", ["ETag", "X-Linked-Etag", "X-Repo-Commit"])
@pytest.mark.parametrize("kind", ["absolute", "upwards", "nul", "empty", "long"])
def test_a_header_that_is_a_path_is_not_one(hub, pushed, saved, elsewhere, file, header, kind):
    up = "../" * 5
    path = {
        "absolute": f'"{elsewhere}"',
        "upwards": f'"{up}elsewhere"',
        "nul": '"\x01\x1b[31m"',
        "empty": "",
        "long": "a" * 5000,
    }[kind]
    hub.headers[file] = {header: path}
    assert torch.equal(samples(), samples(saved))


@pytest.mark.parametrize("commit", ["../../../../elsewhere", "/elsewhere"])
def test_a_file_that_is_not_there_leaves_no_mark_elsewhere(hub, pushed, elsewhere, commit):
    """The client notes which files a commit lacks, under the commit that the answer names."""

    def missing():
        return failure(404, "Entry not found", "EntryNotFound", **{"X-Repo-Commit": commit})

    hub.failing += [(method, "README.md", missing) for method in ("HEAD", "GET")]
    assert "does not have a file that it lists" in refused()


# What is listed is what is kept


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", ["same size", "shorter", "longer"])
def test_one_altered_answer_is_refused_and_does_not_stay(hub, pushed, saved, tmp_path, file, how):
    right = (saved / file).read_bytes()
    altered = bytes([right[0] ^ 1]) + right[1:]
    hub.changed[file] = {"same size": altered, "shorter": right[:-1], "longer": right + b" "}[how]
    refused(f"{file}|Consistency check failed")
    assert all(hub.changed[file] != path.read_bytes() for path in files(tmp_path / "hf"))
    hub.changed.clear()
    assert torch.equal(samples(), samples(saved))


def test_another_solver_by_an_altered_config_is_not_taken(hub, pushed, saved):
    """With the size, the ETag and every header of the right one."""
    text = (saved / "config.json").read_text()
    hub.changed["config.json"] = text.replace('"heun"', '"dopr"').encode()
    assert len(hub.changed["config.json"]) == len(text)
    assert "not kept" in refused("config.json")


@pytest.mark.parametrize("file", FILES)
def test_a_file_altered_in_the_cache_is_fetched_again(hub, pushed, saved, file):
    """By an earlier version, or another program, which took what it was sent."""
    folder = pull(REPO)
    path = (folder / file).resolve()
    right = path.read_bytes()
    path.write_bytes(right.replace(b"e", b"a"))
    assert torch.equal(samples(), samples(saved))
    assert (folder / file).read_bytes() == right


@pytest.mark.parametrize("file", FILES)
def test_offline_a_file_altered_in_the_cache_is_refused(hub, pushed, file):
    path = (pull(REPO) / file).resolve()
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ZooError, match="fetch it again"):
        pull(REPO, local_files_only=True)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("length", [True, False], ids=["announced", "unannounced"])
def test_no_more_is_kept_than_was_listed(hub, pushed, tmp_path, monkeypatch, file, length):
    """Not for a moment: 30 MB for some hundred bytes."""
    most, done = [0], threading.Event()

    def watch():
        while not done.wait(0.001):
            for path in (tmp_path / "hf").rglob("*.incomplete"):
                with suppress(FileNotFoundError):  # whole, and renamed
                    most[0] = max(most[0], path.lstat().st_size)

    hub.changed[file] = b" " * 30_000_000
    if length:
        hub.headers[file] = {"X-Linked-Size": "30000000"}
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        refused("sends more than the")
    finally:
        done.set()
        watcher.join()
    assert most[0] < 1_000_000
    assert sum(p.lstat().st_size for p in files(tmp_path / "hf")) < 100_000


LISTED = {
    "no size": {"size": None},
    "a negative size": {"size": -1},
    "a size that is text": {"size": "10"},
    "a size that is true": {"size": True},
    "a huge size": {"size": 2**70},
    "no digest": {"blobId": None, "lfs": None},
    "a digest that is a path": {"blobId": "../../elsewhere", "lfs": None},
    "a digest in capitals": {"blobId": "A" * 40, "lfs": None},
    "a digest of another length": {"blobId": "a" * 39, "lfs": None},
    "lfs that is a path": {"lfs": {"sha256": "/" * 64, "size": 3, "pointerSize": 1}},
    "lfs of another size": {"lfs": {"sha256": "a" * 64, "size": 3, "pointerSize": 1}},
    "lfs that is none": {"lfs": {"size": 3}},
    "a list": {"size": [1], "blobId": {}},
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("change", LISTED.values(), ids=[*LISTED])
def test_a_listing_that_is_none_is_refused_before_a_byte(hub, pushed, elsewhere, file, change):
    hub.listed[file] = change
    refused()
    assert hub.asked("GET", f"/{file}") == []
    assert hub.asked("HEAD", f"/{file}") == []


def test_names_in_a_listing_that_lead_elsewhere_are_no_names(hub, pushed, saved, elsewhere):
    names = ["../x.safetensors", "/etc/passwd", "a/../../b", "a\\b", "", ".", "a\x1b[31m"]
    for name in names:
        hub.store.add(REPO, {name: b"x"})
    assert torch.equal(samples(), samples(saved))

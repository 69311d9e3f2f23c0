"""Model folders on disk: reading, requirements, hashes verified once, replacing as a whole."""

import hashlib
import os
from pathlib import Path

import pytest

from zoo import folder
from zoo.config import MAX_CONFIG_BYTES, Config, Data, Part, WeightFile, dump_config
from zoo.errors import ZooError
from zoo.folder import (
    CARD,
    CONFIG,
    DamagedFile,
    NewFolder,
    check_file,
    check_requirements,
    describe,
    missing_requirements,
    read_card,
    read_config,
    verify_file,
)

PART = Part("gravity")


def config(**fields):
    return Config(1, Data((2,)), PART, PART, PART, PART, **fields)


@pytest.fixture
def hashed(monkeypatch):
    """The files whose content was read to be compared, in order."""
    seen = []

    def spy(path):
        seen.append(path)
        return describe(path)

    monkeypatch.setattr(folder, "describe", spy)
    return seen


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A weight file, what config.json says of it, and an empty cache."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"numbers")
    return path, WeightFile(7, hashlib.sha256(b"numbers").hexdigest())


# Reading


def test_a_folder_without_config_is_no_model_folder(tmp_path):
    (tmp_path / CONFIG).mkdir()
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ZooError, match=r"is not a model folder: it has no config.json"):
            read_config(path)


def test_a_config_is_read_and_a_huge_one_is_not(tmp_path):
    (tmp_path / CONFIG).write_bytes(dump_config(config()))
    assert read_config(tmp_path) == config()
    (tmp_path / CONFIG).write_bytes(b" " * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(ZooError, match="bytes; at most"):
        read_config(tmp_path)


def test_a_card_is_text_and_may_be_absent(tmp_path):
    assert read_card(tmp_path) == ""
    (tmp_path / CARD).write_text("---\nlicense: mit\n---\n# Größe", encoding="utf-8")
    assert read_card(tmp_path).endswith("# Größe")
    (tmp_path / CARD).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ZooError, match="not UTF-8"):
        read_card(tmp_path)


def test_what_cannot_be_read_is_told(tmp_path):
    for name in (CONFIG, CARD, "model.safetensors"):
        (tmp_path / name).symlink_to("/proc/self/mem")  # whose first byte is an input error
    expected = WeightFile(0, "0" * 64)
    with pytest.raises(ZooError, match=r"^cannot read .*config.json: Input/output error$"):
        read_config(tmp_path)
    with pytest.raises(ZooError, match=r"^cannot read .*README.md: Input/output error$"):
        read_card(tmp_path)
    with pytest.raises(ZooError, match=r"^cannot read .*safetensors: Input/output error$"):
        check_file(tmp_path / "model.safetensors", expected)


# Requirements


def test_requirements_are_compared_with_what_is_installed():
    wanted = ("pytest>=7", "pytest<1", "zoo-yukawa>=0.2", "torch")
    assert missing_requirements(config(requires=wanted)) == ("pytest<1", "zoo-yukawa>=0.2")
    with pytest.raises(ZooError, match=r"m needs zoo-b>=1: pip install 'zoo-b>=1'$"):
        check_requirements(config(requires=("torch", "zoo-b>=1")), "m")
    check_requirements(config(requires=("torch",)), "m")


def test_a_prerelease_counts_as_installed(monkeypatch):
    monkeypatch.setattr(folder.metadata, "version", lambda _: "0.2.dev3")
    assert missing_requirements(config(requires=("zoo-yukawa>=0.1",))) == ()


@pytest.mark.parametrize("version", ["not a version", None])
def test_a_version_that_says_nothing_meets_nothing(monkeypatch, version):
    monkeypatch.setattr(folder.metadata, "version", lambda _: version)
    assert missing_requirements(config(requires=("zoo-yukawa>=0.1",))) == ("zoo-yukawa>=0.1",)


@pytest.mark.parametrize(
    "text",
    ["", "no way", "zoo-x @ https://example.org/x.whl", "zoo-x[all]", "zoo-x; python_version<'4'"],
)
def test_what_is_no_plain_requirement_is_refused(text):
    with pytest.raises(ZooError, match=r"^requires: .*zoo-x>=1\.0|^requires: .*allowed"):
        missing_requirements(config(requires=(text,)))


# Hashes


def test_a_file_is_hashed_once(weights, hashed):
    for _ in range(3):
        check_file(*weights)
    assert hashed == [weights[0]]


def test_a_touched_file_is_hashed_again(weights, hashed):
    path, expected = weights
    check_file(path, expected)
    os.utime(path, ns=(1, 1))
    check_file(path, expected)
    assert len(hashed) == 2


@pytest.mark.parametrize("keep_time", [False, True])
def test_another_content_of_the_same_size_is_caught(weights, keep_time):
    path, expected = weights
    check_file(path, expected)
    before = path.stat()
    path.write_bytes(b"Numbers")
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(DamagedFile, match=r"sha256 .*: it was changed or damaged; fetch it"):
            check_file(path, expected)


def test_verifying_hashes_again_whatever_was_found(weights, hashed):
    check_file(*weights)
    verify_file(*weights)
    assert len(hashed) == 2


def test_an_absent_file_and_another_size_are_told_without_hashing(weights, hashed):
    path, expected = weights
    with pytest.raises(DamagedFile, match=r"7 bytes, config.json says 8"):
        check_file(path, WeightFile(8, expected.sha256))
    path.unlink()
    with pytest.raises(ZooError, match=r"is missing; config.json lists it with 7 bytes"):
        check_file(path, expected)
    assert hashed == []


def test_a_cache_that_cannot_be_written_costs_a_hash_and_no_more(weights, hashed, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(weights[0] / "below-a-file"))
    check_file(*weights)
    check_file(*weights)
    assert len(hashed) == 2


# Writing


def fill(path, **files):
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text)


def contents(path):
    return {p.name: p.read_text() for p in path.iterdir()}


def file_names(path):
    return {p.name for p in path.iterdir()}


def test_a_new_folder_appears_whole(tmp_path):
    target = tmp_path / "a" / "b"
    with NewFolder(target) as beside:
        fill(beside, config_json="{}", README_md="x")
        assert not target.exists()
    assert contents(target) == {"config.json": "{}", "README.md": "x"}
    assert [p.name for p in target.parent.iterdir()] == ["b"]


def test_in_a_folder_that_is_there_its_own_files_are_replaced_and_others_stay(tmp_path):
    fill(tmp_path / "m", config_json="old", README_md="old", notes_txt="mine")
    with NewFolder(tmp_path / "m") as beside:
        fill(beside, config_json="new", README_md="new")
    assert contents(tmp_path / "m") == {
        "config.json": "new",
        "README.md": "new",
        "notes.txt": "mine",
    }


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("there", [False, True])
def test_after_an_exception_all_is_as_before(tmp_path, there, stop):
    target = tmp_path / "m"
    if there:
        fill(target, config_json="old")

    def half_way():
        with NewFolder(target) as beside:
            fill(beside, config_json="new")
            raise stop

    with pytest.raises(stop):
        half_way()
    assert [p.name for p in tmp_path.rglob("*")] == (["m", "config.json"] if there else [])
    assert not there or contents(target) == {"config.json": "old"}


def test_an_empty_folder_may_be_filled_and_the_working_one_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with NewFolder(Path()) as beside:
        fill(beside, config_json="{}")
    assert contents(tmp_path) == {"config.json": "{}"}


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    fill(tmp_path / "home", thesis_tex="years of work")
    with pytest.raises(ZooError, match="holds other files and no model"):
        NewFolder(tmp_path / "home").__enter__()
    with pytest.raises(ZooError, match="is a file; name a folder"):
        NewFolder(tmp_path / "home" / "thesis.tex").__enter__()
    assert contents(tmp_path / "home") == {"thesis.tex": "years of work"}


@pytest.mark.parametrize("empty", [False, True])
def test_what_a_killed_run_left_is_no_obstacle_and_goes_after_a_day(tmp_path, empty):
    target = tmp_path / "m"
    near = target if empty else tmp_path
    for name in (".m.0.part", ".m.1.part", ".n.part"):
        fill(near / name, README_md="left over")
    os.utime(near / ".m.0.part", (1, 1))
    os.utime(near / ".n.part", (1, 1))
    if empty:
        (near / ".n.part" / "README.md").unlink()
        (near / ".n.part").rmdir()
    with NewFolder(target) as beside:
        fill(beside, config_json="{}")
    assert file_names(target) == ({"config.json", ".m.1.part"} if empty else {"config.json"})
    assert empty or file_names(tmp_path) == {"m", ".m.1.part", ".n.part"}


@pytest.mark.parametrize("there", [False, True])
def test_two_that_make_one_folder_do_not_disturb_each_other(tmp_path, there):
    target = tmp_path / "m"
    if there:
        fill(target, config_json="{}")
    with NewFolder(target) as first:
        fill(first, config_json="{}", README_md="first")
        with NewFolder(target) as second:
            fill(second, config_json="{}", README_md="second")
        assert (target / "README.md").read_text() == "second"
        assert first.is_dir()
    assert contents(target) == {"config.json": "{}", "README.md": "first"}
    assert file_names(tmp_path) == {"m"}


def test_a_folder_that_cannot_be_put_in_place_is_told_as_that(tmp_path):
    (tmp_path / "there").mkdir()
    new = NewFolder(tmp_path / "there" / "m")
    new.__enter__()
    (tmp_path / "there").rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match=r"there/m'$"):
        new.__exit__(None)
    assert file_names(tmp_path) == {"away"}

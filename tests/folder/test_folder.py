"""Model folders on disk: reading, requirements, hashes verified once, replacing as a whole."""

import hashlib
import os

import pytest

from zoo.config.model import MAX_CONFIG_BYTES, Config, Data, WeightFile, dump_config
from zoo.config.part import Part
from zoo.errors import ZooError
from zoo.folder import read as folder
from zoo.folder.read import (
    CARD,
    CONFIG,
    DamagedFile,
    check_file,
    describe,
    read_card,
    read_config,
    verify_file,
)
from zoo.host import requirements
from zoo.host.requirements import check_requirements, missing_requirements

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
    monkeypatch.setattr(requirements.metadata, "version", lambda _: "0.2.dev3")
    assert missing_requirements(config(requires=("zoo-yukawa>=0.1",))) == ()


@pytest.mark.parametrize("version", ["not a version", None])
def test_a_version_that_says_nothing_meets_nothing(monkeypatch, version):
    monkeypatch.setattr(requirements.metadata, "version", lambda _: version)
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

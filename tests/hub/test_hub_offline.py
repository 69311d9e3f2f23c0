"""Without a network: what is complete on this disk loads, whoever put it there."""

from pathlib import Path

import huggingface_hub
import pytest
import torch
from click.testing import CliRunner
from fake_hub.replies import failure
from huggingface_hub import snapshot_download

import zoo
from zoo.cli import main
from zoo.errors import ZooError
from zoo.models.locate import pull, verify

REPO = "ada/ddpm"


@pytest.fixture(scope="module", params=["pipeline-safetensors", "flat-bin"])
def theirs(request, tmp_path_factory):
    """The files of a repository of diffusers, and the samples of its model."""
    there = pytest.importorskip("diffusers_repositories")
    folder = tmp_path_factory.mktemp("theirs") / "ddpm"
    files = there.save(folder, there.unet(), there.ddpm(), request.param)
    return files, samples(folder)


def samples(ref):
    return zoo.load(ref).sample(2, seed=0, steps=2)


def go_offline(hub, monkeypatch, how):
    if how == "HF_HUB_OFFLINE":
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    elif how == "refused":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    elif how == "down":
        hub.fail("GET", "/", 503)
        hub.fail("HEAD", "/", 503)


HOW = ["HF_HUB_OFFLINE", "refused", "down", "local_files_only"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("ref", [REPO, "commit"])
def test_a_repository_that_another_program_fetched(hub, theirs, monkeypatch, how, ref):
    files, expected = theirs
    commit = hub.store.add(REPO, files).oid
    ref = f"{REPO}@{commit}" if ref == "commit" else REPO
    snapshot_download(REPO, endpoint=hub.url)
    go_offline(hub, monkeypatch, how)
    folder = pull(ref, local_files_only=how == "local_files_only")
    assert torch.equal(samples(folder), expected)
    assert verify(ref)


@pytest.mark.parametrize("how", HOW)
def test_one_that_is_not_complete_says_so(hub, theirs, monkeypatch, how):
    files, _ = theirs
    hub.store.add(REPO, files)
    snapshot_download(REPO, endpoint=hub.url, ignore_patterns=["*.bin", "*.safetensors"])
    go_offline(hub, monkeypatch, how)
    with pytest.raises(ZooError, match=r"not complete on this disk|answered 503: ") as caught:
        pull(REPO, local_files_only=how == "local_files_only")
    assert "\n" not in str(caught.value)


def test_weights_altered_on_the_disk_are_not_taken_offline(hub, theirs, monkeypatch):
    files, _ = theirs
    hub.store.add(REPO, files)
    there = snapshot_download(REPO, endpoint=hub.url)
    (weights,) = (p for p in Path(there).rglob("*") if p.suffix in (".bin", ".safetensors"))
    content = weights.resolve().read_bytes()
    weights.resolve().write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ZooError, match="changed or damaged"):
        pull(REPO, local_files_only=True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ZooError):
        pull(REPO)


# What the error says


def _refused(*args):
    done = CliRunner().invoke(main, ["pull", REPO, *args])
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert len(line) <= 500
    return line


def test_pull_names_the_endpoint_and_the_cause(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    line = _refused()
    assert "http://127.0.0.1:9 cannot be asked (ConnectError): " in line
    assert "Connection refused" in line
    assert "HF_ENDPOINT" in line
    assert "once with" not in line


def test_pull_from_a_server_that_is_down_says_what_it_answers(hub):
    hub.failing.append(("GET", "/", lambda: failure(503, "maintenance until noon")))
    line = _refused()
    assert hub.url in line
    assert "it answered 503" in line
    assert "maintenance until noon" in line


def test_pull_offline_says_what_keeps_it_there(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in _refused()


@pytest.mark.parametrize("endpoint", ["not a url", "http://", "ftp://x", "http://[", "//x"])
def test_an_endpoint_that_is_none(hub, monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert "internal error" not in _refused()

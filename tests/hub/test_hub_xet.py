"""With Xet on: chunked by hf_xet for real, stored in a folder; hubs that have no Xet as well."""

import hashlib
import os
import subprocess
import sys

import pytest
import torch
from fake_hub.xet import Xet
from huggingface_hub import constants
from tiny_models import points

import zoo
from zoo.errors import ZooError

# The client's own, of how it hands a body to its HTTP library.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "ada/tiny"
ADA = {"token": "hf_ada"}


@pytest.fixture
def plain(hub, monkeypatch):
    """A Hub without Xet storage, asked by a client with Xet on."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    # Tokens by URL, and tests share a server.
    monkeypatch.setattr("huggingface_hub.utils._xet.XET_CONNECTION_INFO_CACHE", {})
    return hub


@pytest.fixture
def xet(plain, tmp_path):
    """The Xet storage of a Hub that has it."""
    plain.xet = Xet(tmp_path / "xet-store")
    return plain.xet


def samples(ref, **options):
    return zoo.load(ref, **options).sample(3, seed=1, steps=3)


def test_weights_go_there_and_come_back_through_xet(hub, xet, saved):
    zoo.push(saved, REPO, **ADA)
    assert xet.tokens == ["write"]
    assert len(xet.shards()) == 1
    assert hub.asked("PUT") == hub.asked("POST", "/batch") == []
    assert torch.equal(samples(REPO), samples(saved))
    assert "read" in xet.tokens
    assert hub.asked("GET", "model.safetensors") == []


def test_another_process_with_another_cache(hub, xet, saved, tmp_path):
    zoo.push(saved, REPO, **ADA)
    code = f"import zoo, torch; torch.save(zoo.load({REPO!r}).sample(3, seed=1, steps=3), 'x.pt')"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "theirs"), "OMP_NUM_THREADS": "1"}
    environment.pop("HF_HUB_DISABLE_XET", None)
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    assert torch.equal(torch.load(tmp_path / "x.pt"), samples(saved))
    assert hub.asked("GET", "model.safetensors") == []


def test_nothing_changed_makes_no_commit_and_stores_no_chunk(hub, xet, saved):
    first = zoo.push(saved, REPO, **ADA)
    before = xet.chunks()
    assert before
    assert zoo.push(saved, REPO, **ADA) == first
    assert xet.chunks() == before


@pytest.mark.parametrize("harm", ["lost", "cut", "changed"])
def test_a_store_with_damaged_chunks_is_an_error_and_forgiven(hub, xet, saved, harm):
    zoo.push(saved, REPO, **ADA)
    (path,) = xet.chunks()
    content = path.read_bytes()
    path.chmod(0o644)
    if harm == "lost":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        # Many bytes: one alone may be where a run of zeros is copied from, another run as good.
        harmed = bytes(255 - byte for byte in content[1000:2000])
        path.write_bytes(content[:1000] + harmed + content[2000:])
    with pytest.raises(ZooError) as caught:
        zoo.load(REPO)
    assert REPO in str(caught.value)
    assert "\n" not in str(caught.value)
    path.write_bytes(content)
    assert torch.equal(samples(REPO), samples(saved))


@pytest.mark.parametrize("status", [403, 500])
def test_a_token_that_is_refused_is_an_error_and_forgiven(hub, xet, saved, status):
    zoo.push(saved, REPO, **ADA)
    hub.fail("GET", "/xet-read-token/", status)
    with pytest.raises(ZooError) as caught:
        zoo.load(REPO)
    assert REPO in str(caught.value)
    assert "\n" not in str(caught.value)
    hub.failing.clear()
    assert torch.equal(samples(REPO), samples(saved))


def test_a_file_damaged_on_this_disk_is_fetched_again(hub, xet, saved):
    """The client keeps what comes through Xet in a place that repositories share."""
    zoo.push(saved, REPO, **ADA)
    path = (zoo.pull(REPO) / "model.safetensors").resolve()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ZooError, match="fetch it again"):
        zoo.pull(REPO, local_files_only=True)
    assert torch.equal(samples(REPO), samples(saved))


@pytest.mark.parametrize("missing", [True, False], ids=["no such repository", "one that is there"])
def test_a_hub_without_xet_cannot_be_pushed_to_and_the_error_says_what_to_do(plain, saved, missing):
    if not missing:
        plain.store.add(REPO, {})
    before = {name: dict(r.refs) for name, r in plain.store.repositories.items()}
    with pytest.raises(ZooError, match="HF_HUB_DISABLE_XET=1") as caught:
        zoo.push(saved, REPO, **ADA)
    assert "\n" not in str(caught.value)
    assert {name: dict(r.refs) for name, r in plain.store.repositories.items()} == before


def test_a_hub_without_xet_is_read_as_ever(plain, saved):
    plain.store.add_folder(REPO, saved)
    assert torch.equal(samples(REPO), samples(saved))
    assert plain.asked("GET", "model.safetensors")


@pytest.mark.parametrize("name", ["../../../../elsewhere", "/etc/passwd", "0" * 63, ""])
def test_a_xet_hash_that_is_none_is_an_error(hub, xet, saved, tmp_path, name):
    zoo.push(saved, REPO, **ADA)
    hub.headers["model.safetensors"] = {"X-Xet-Hash": name}
    with pytest.raises(ZooError) as caught:
        zoo.load(REPO)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "elsewhere").exists()
    hub.headers.clear()
    assert torch.equal(samples(REPO), samples(saved))


def test_other_content_from_xet_is_not_kept(hub, xet, saved, tmp_path):
    """The name of a file that the storage has, and that is another one, and larger."""
    other = points(width=256).save_pretrained(tmp_path / "other")
    zoo.push(other, "ada/other", **ADA)
    zoo.push(saved, REPO, **ADA)
    content = (other / "model.safetensors").read_bytes()
    name = xet.name(hashlib.sha256(content).hexdigest())
    hub.headers["model.safetensors"] = {"X-Xet-Hash": name}
    with pytest.raises(ZooError) as caught:
        zoo.load(REPO)
    assert "\n" not in str(caught.value)
    kept = [p.stat().st_size for p in (tmp_path / "hf").rglob("*") if p.is_file()]
    assert max(kept) < len(content)
    hub.headers.clear()
    assert torch.equal(samples(REPO), samples(saved))

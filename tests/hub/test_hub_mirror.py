"""Loading through olah, a mirror that nobody here wrote, in front of the double.

On demand (-m slow): it needs `pip install olah==0.5.4`, and $OLAH if olah-cli is not on the PATH.
"""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
import torch
from fake_hub.elsewhere import DRAW, NAME, draw_elsewhere

import zoo

pytestmark = pytest.mark.slow
REPO = "ada/tiny"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def mirror(hub, tmp_path, monkeypatch):
    """The address of a mirror of the double; the client in this process asks it alone."""
    program = os.environ.get("OLAH") or shutil.which("olah-cli")
    assert program, "olah-cli is not installed"
    port, origin = free_port(), hub.url.removeprefix("http://")
    here = f"127.0.0.1:{port}"
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--hf-scheme": "http",
        "--hf-netloc": origin,
        "--hf-lfs-netloc": origin,
        "--mirror-netloc": here,
        "--mirror-lfs-netloc": here,
        "--repos-path": str(tmp_path / "repos"),
        "--log-path": str(tmp_path / "logs"),
        "--metadata-cache-ttl": "0",
    }
    command = [program, *(word for pair in options.items() for word in pair)]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://{here}"
    deadline = time.monotonic() + 120
    while not answers(address):
        assert process.poll() is None
        assert time.monotonic() < deadline
    monkeypatch.setenv("HF_ENDPOINT", address)
    yield address
    process.terminate()
    process.wait(30)


def answers(address):
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def test_the_read_path_through_a_mirror(hub, saved, mirror, tmp_path):
    """Main, branch, tag and commit; the samples are the saved model's, bit for bit."""
    commit = hub.store.add_folder(REPO, saved)
    hub.store.repositories[REPO].refs |= {"wip": commit.oid, "v1": commit.oid}
    expected = zoo.load(saved).sample(3, seed=1, steps=3)
    for index, ref in enumerate([REPO, f"{REPO}@wip", f"{REPO}@v1", f"{REPO}@{commit.oid}"]):
        model = zoo.load(ref, cache_dir=tmp_path / f"cache{index}")
        assert torch.equal(model.sample(3, seed=1, steps=3), expected)
    assert hub.asked("GET", "model.safetensors")
    with pytest.raises(zoo.ZooError) as caught:
        zoo.load("ada/nothing")
    assert "\n" not in str(caught.value)


# The client's own, of how it hands a body to its HTTP library.
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_the_zoos_own_model_in_another_process_through_a_mirror(hub, mirror, tmp_path, monkeypatch):
    """Pushed to the origin; loaded through the mirror by main, tag, commit, token, bit for bit."""
    repo, secret = f"ada/{NAME}", "ada/secret"
    expected = zoo.load(NAME).sample(2, **DRAW)
    with monkeypatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.url)
        zoo.push(NAME, repo, token="hf_ada")
        zoo.push(NAME, secret, private=True, token="hf_ada")
    commit = hub.store.repositories[repo].refs["main"]
    hub.store.repositories[repo].refs["v1"] = commit
    refs = [(repo, None), (f"{repo}@v1", None), (f"{repo}@{commit}", None), (secret, "hf_ada")]
    *drawn, refused = draw_elsewhere(mirror, [*refs, (secret, None)], tmp_path)
    for samples in drawn:
        assert torch.equal(samples, expected)
    assert secret in refused
    assert "\n" not in refused

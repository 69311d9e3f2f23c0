"""`hub`: a fake Hub, which the client in this process uses."""

import time

import pytest

from fake_hub.server import Hub


class Hurried:
    """The module `time` as the client sees it, without its pauses between retries."""

    def __getattr__(self, name):
        return getattr(time, name)

    def sleep(self, _seconds):
        """Return at once; time.sleep itself is not changed."""


@pytest.fixture(scope="session")
def hub_server():
    server = Hub()
    yield server
    server.stop()


@pytest.fixture
def hub(hub_server, tmp_path, monkeypatch):
    """An empty Hub; the client has an empty cache, no token and no Xet."""
    hub_server.clear()
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo-cache"))
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "ZOO_HUB_NAMESPACE"):
        monkeypatch.delenv(variable, raising=False)
    from huggingface_hub import constants  # not before the environment is set

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for module in ("utils._http", "file_download"):
        monkeypatch.setattr(f"huggingface_hub.{module}.time", Hurried())
    return hub_server


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """The folder of a tiny model."""
    from tiny_models import points

    return points().save_pretrained(tmp_path_factory.mktemp("saved") / "tiny")

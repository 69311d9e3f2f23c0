"""Fixtures that several test modules share."""

import importlib
import sys

import pytest

from zoo import plugins

pytest_plugins = ["hub.fixtures"]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty folder in front of the installed packages; plugins are looked for anew."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv(plugins.LIMIT_VARIABLE, raising=False)
    before = set(sys.modules)
    plugins.reset()
    yield folder
    plugins.reset()
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    importlib.invalidate_caches()

"""Fixtures that several test modules share."""

import importlib
import os
import sys
from functools import partial

import pytest
from hypothesis import settings

# Before torch is imported: small networks are slower on many threads, and bits depend on them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before the Hub's client is imported: tests and their subprocesses ignore the user's settings.
for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING_FACE_"))]:
    del os.environ[name]
# The fake Hub is on this machine, so no proxy is used for it; help texts have a fixed width.
for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = ",".join(["127.0.0.1", "localhost", os.environ.get(name, "")]).rstrip(",")
os.environ["COLUMNS"] = "80"

import torch  # noqa: E402

from zoo.host import plugins  # noqa: E402

pytest_plugins = ["fake_hub.fixtures", "environments", "common"]

# No time limit per example, since machines are shared. Examples are the same in every run, except
# with `pytest --hypothesis-profile=explore`.
settings.register_profile("zoo", deadline=None, derandomize=True, database=None)
settings.register_profile("explore", deadline=None, derandomize=False)
settings.load_profile("zoo")


@pytest.fixture(scope="session")
def _cache(tmp_path_factory):
    return tmp_path_factory.mktemp("zoo-cache")


@pytest.fixture(autouse=True)
def _own_cache(_cache, monkeypatch):
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("ZOO_CACHE", str(_cache))


@pytest.fixture(autouse=True)
def _same_numbers():
    """Draws without a generator are the same in every run and any order of tests."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def saved_images(tmp_path_factory):
    """The folder of a tiny image model; a test that changes it makes a copy first."""
    from tiny_models import images

    return images().save_pretrained(tmp_path_factory.mktemp("models") / "gravity-tiny")


@pytest.fixture
def command(capsys, tmp_path, monkeypatch):
    """Run `zoo ARGS` in an empty folder; return (exit status, stdout, stderr)."""
    from common import run_zoo  # after pytest has taken it as a plugin

    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return partial(run_zoo, capsys)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty folder at the front of sys.path; plugins are discovered again."""
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


@pytest.fixture
def gaussian_posterior(monkeypatch):
    """The class GaussianPosterior of benchmarks/: exact denoisers of Gaussian data."""
    from environments import ROOT

    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("gaussian_posterior").GaussianPosterior

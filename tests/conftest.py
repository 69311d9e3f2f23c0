"""Fixtures that several test modules share."""

import importlib
import os
import sys

import pytest
from hypothesis import settings

# Before torch is imported: small networks are slower on many threads, and bits depend on them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before the Hub's client is imported: what the user has set is not for tests and what they start.
for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING_FACE_"))]:
    del os.environ[name]
# The double is on this machine, whatever proxy leads out of it; help texts have one width.
for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = ",".join(["127.0.0.1", "localhost", os.environ.get(name, "")]).rstrip(",")
os.environ["COLUMNS"] = "80"

import torch  # noqa: E402

from zoo.host import plugins  # noqa: E402

pytest_plugins = ["hub.fixtures", "environments"]

# No example has a time limit of its own: machines are shared. Examples are the same in every run
# but those of `pytest --hypothesis-profile=explore`.
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
    """What a test draws without a generator is the same in every run and any order of tests."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def saved_images(tmp_path_factory):
    """The folder of a tiny image model, not to be changed: copy it."""
    from tiny_models import images

    return images().save_pretrained(tmp_path_factory.mktemp("models") / "gravity-tiny")


@pytest.fixture
def command(capsys, tmp_path, monkeypatch):
    """Run `zoo ARGS` in an empty folder; return (exit status, stdout, stderr)."""
    from zoo.cli import main

    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def call(*args):
        with pytest.raises(SystemExit) as stop:
            main([*map(str, args)])
        return (stop.value.code or 0, *capsys.readouterr())

    return call


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


@pytest.fixture
def gaussian_posterior(monkeypatch):
    """The class of exact denoisers of Gaussian data, of benchmarks/."""
    from environments import ROOT

    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("gaussian_posterior").GaussianPosterior

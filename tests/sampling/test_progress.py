"""Progress bars: shown in a notebook, without a warning of packages it lacks, and not in a pipe."""

import sys
from types import SimpleNamespace

import pytest
from fake_distributions import run_python

from zoo.sampling import progress
from zoo.sampling.progress import bar


@pytest.fixture
def notebook(monkeypatch):
    """A Jupyter kernel, as packages recognise it; ipywidgets is not installed."""
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(progress, "find_spec", lambda name: None)


@pytest.mark.usefixtures("notebook")
def test_a_notebook_without_widgets_has_a_bar_of_text(capsys):
    assert [*bar("abc", desc="letters")] == [*"abc"]
    with bar(total=2, shown=False) as hidden:
        hidden.update()
    said = capsys.readouterr().err
    assert "letters: 100%" in said
    assert said.count("letters") == said.count("it/s]")


def test_a_notebook_without_widgets_hears_nothing_of_them():
    """Of a dependency that imports tqdm.auto, such as huggingface_hub."""
    code = """
import sys
from types import SimpleNamespace
shell = SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = SimpleNamespace(get_ipython=lambda: shell)
sys.modules |= {"ipykernel.zmqshell": shell, "ipywidgets": None}
import zoo
import tqdm.auto
"""
    done = run_python("-W", "always", "-c", code)
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_pipe_has_none(capsys):
    assert [*bar("abc", desc="letters")] == [*"abc"]
    assert capsys.readouterr().err == ""

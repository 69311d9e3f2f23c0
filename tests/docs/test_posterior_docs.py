"""docs/posterior.md: its code runs, and its method of one's own is one."""

import re
import shutil
from pathlib import Path

import pytest

import zoo
from zoo.errors import CheckFailure
from zoo.interfaces import PosteriorMethod
from zoo.testing.posteriors import axes, closeness, dtypes, rows

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "posterior.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_first_example_runs():
    names: dict = {}
    exec(BLOCKS[0].replace("sample(8, seed=0)", "sample(2, seed=0, steps=8)"), names)
    answers, y, keep = names["answers"], names["y"], names["keep"]
    assert answers.shape == (2, 1, 28, 28)
    assert (answers - y)[..., keep].square().mean().sqrt() < 0.1


def test_the_method_of_ones_own_satisfies_the_laws():
    names: dict = {}
    exec(BLOCKS[1], names)
    method = names["Nudge"]()
    for law in (closeness, rows, axes, dtypes):
        law(method)
    own = len([line for line in BLOCKS[1].splitlines() if line.strip()])
    assert own <= 25


class Flat(PosteriorMethod):
    """Takes y to have the axes of x."""

    def denoise(self, at, seen):
        near = seen.near(at.denoised)
        step = near.pull(near.residual) * (1 if at.x.ndim == 2 else 2)
        return at.denoised + step


def test_a_method_that_sees_images_otherwise_than_vectors_fails():
    with pytest.raises(CheckFailure, match="images have another posterior than vectors"):
        axes(Flat())


def test_the_tables_are_those_of_what_was_measured(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(DOCS.parent / "benchmarks"))
    import posterior_page

    for name in ("posterior.md", "posterior.json", "posterior-garments.json"):
        shutil.copy(DOCS / name, tmp_path)
    monkeypatch.setattr(posterior_page, "DOCS", tmp_path)
    posterior_page.main()
    for name in ("posterior.md", "posterior-tables.md"):
        assert (tmp_path / name).read_text("utf-8") == (DOCS / name).read_text("utf-8")


def test_every_method_and_operator_is_on_the_page():
    import zoo.posterior as operators

    for name in zoo.components("posteriors"):
        assert f"| `{name}` |" in PAGE
    for name, value in vars(operators).items():
        made = isinstance(value, type) and issubclass(value, operators.Operator)
        if made and name not in ("Operator", "Function"):
            assert f"| `{name}(" in PAGE

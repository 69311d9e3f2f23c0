"""The site's own code: docstrings become reStructuredText, and pages are made of what is there."""

import sys

import pytest
from environments import ROOT

import zoo

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
pytest.importorskip("sphinx")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a shape (n, *shape)", r"a shape (n, \*shape)"),
        ("r = |x - x_0|", r"r = \|x - x_0\|"),
        ("the name `x_t` is code", "the name ``x_t`` is code"),
        ("``a|b`` stays", "``a|b`` stays"),
        (":class:`Network` stays", ":class:`Network` stays"),
        (r"napoleon's \*args stays", r"napoleon's \*args stays"),
        ("D_ is not a link", r"D\_ is not a link"),
    ],
)
def test_docstrings_are_read_as_plain_text(line, expected):
    from docstrings import as_restructured_text

    assert as_restructured_text(line) == expected


def test_every_public_name_has_an_entry():
    from made_pages import api_page

    page = api_page("zoo")
    assert [name for name in zoo.__all__ if f":: zoo.{name}\n" not in page] == ["__version__"]


def test_every_component_of_the_zoo_has_an_entry():
    from made_pages import component_page

    for kind in ("kernels", "priors", "networks", "solvers", "formats"):
        page = component_page(kind)
        assert [name for name in zoo.components(kind) if f"\n{name}\n---" not in page] == []

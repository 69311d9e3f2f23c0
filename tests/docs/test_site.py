"""The site's own code: docstrings become reStructuredText, and pages are made of what is there."""

import inspect
import re
import sys
from importlib import import_module

import pytest
from environments import ROOT

import zoo

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
pytest.importorskip("sphinx")
MODULES = ["zoo", "zoo.interfaces", "zoo.posterior", "zoo.networks", "zoo.numerics", "zoo.formats"]
MODULES += ["zoo.testing", "zoo.sklearn"]


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
        ("owner/name@revision is no address", r"owner/name\@revision is no address"),
    ],
)
def test_docstrings_are_read_as_plain_text(line, expected):
    from docstrings import as_restructured_text

    assert as_restructured_text(line) == expected


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_an_entry(module):
    from made_pages import api_page

    page, names = api_page(module), import_module(module).__all__
    missing = [name for name in names if f":: {module}.{name}\n" not in page]
    assert missing == ["__version__"] * (module == "zoo")


def functions(module):
    """Names of public functions and methods, these, their docstrings, and with their class's."""
    for name, value in vars(import_module(module)).items():
        if name not in import_module(module).__all__:
            continue
        own = vars(value).items() if inspect.isclass(value) else [("", value)]
        for method, found in own:
            plain = getattr(found, "__func__", getattr(found, "fget", found))
            if inspect.isfunction(plain) and not method.startswith("_"):
                whole = inspect.getdoc(value) if method else ""
                said = inspect.getdoc(getattr(value, method, value))
                yield f"{name}.{method}".rstrip("."), plain, said, f"{said}\n{whole}"


@pytest.mark.parametrize("module", MODULES)
def test_every_entry_has_shapes_and_errors(module):
    """Of functions of tensors the shapes; of those that raise an error, when."""
    lacking = []
    for name, function, said, whole in functions(module):
        kinds = " ".join(map(str, inspect.get_annotations(function).values()))
        if "Tensor" in kinds and not re.search(r"[(,] ?\*?\w*\)|\(\w+,|shape|\blike ", whole):
            lacking.append(f"{name}: shapes")
        if re.search(r"^ +raise \w+\(", inspect.getsource(function), re.M) and "Raise" not in said:
            lacking.append(f"{name}: errors")
    assert lacking == []


def test_every_component_of_the_zoo_has_an_entry():
    from made_pages import component_page

    for kind in ("kernels", "priors", "networks", "solvers", "formats", "posteriors"):
        page = component_page(kind)
        assert [name for name in zoo.components(kind) if f"\n{name}\n---" not in page] == []

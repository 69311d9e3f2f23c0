"""docs/kernels.md: its code runs, it knows every kernel, and its numbers are right."""

import re
from pathlib import Path

import pytest
from mixing import mixing

import zoo
from zoo.numerics.expressions import FUNCTIONS

TEXT = (Path(__file__).parents[2] / "docs" / "kernels.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.M | re.S)


def test_python_blocks_run_one_after_another(capsys):
    names = {}
    for code in BLOCKS:
        exec(compile(code, "docs/kernels.md", "exec"), names)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("t = 40 is too small")
    assert float(second) == pytest.approx(57.7, abs=0.1)


def test_every_kernel_has_its_row_and_its_section():
    rows = set(re.findall(r"^\| \[`([a-z]+)`\]\(#", TEXT, flags=re.M))
    links = re.findall(r"^\| \[`[a-z]+`\]\(#([a-z-]+)\)", TEXT, flags=re.M)
    sections = {s.lower().replace(" ", "-") for s in re.findall(r"^## (.+)$", TEXT, flags=re.M)}
    assert set(links) <= sections
    assert rows <= set(zoo.components("kernels"))
    first_party = {"gravity", "pfgmpp", "gaussian", "ve", "vp", "interpolant", "tanh", "exp"}
    assert rows == first_party | {"psi", "phi", "flow", "anisotropic", "rotating", "map"}
    assert rows <= set(zoo.components("priors"))


def test_the_formula_section_lists_every_function():
    section = TEXT[TEXT.index("## Formulas") : TEXT.index("## Is T large enough?")]
    assert {name for name in FUNCTIONS if not re.search(rf"\b{name}\b", section)} == set()


def test_the_column_of_what_networks_predict_is_right():
    options = {
        "ve": {"sigma": "t"},
        "interpolant": {"alpha": "1-t", "sigma": "t"},
        "anisotropic": {"covariance": 1.0},
        "map": {"map": "(1-t)*x_0 + t*z"},
    }
    cells = re.findall(r"^\| \[`([a-z]+)`\].*\| ([^|]+) \|$", TEXT, flags=re.M)
    for name, predicts in cells:
        if predicts != "x_0 or the field":
            kernel = zoo.kernel(name, dim=2, **options.get(name, {}))
            assert predicts == ("x_0" if kernel.affine else "the field")


def test_the_mixing_table_is_right():
    table = TEXT[TEXT.index("| d = 3072, norm 27.7") :]
    rows = re.findall(r"^\| (\w+) \| ([\d, ]+) \| ([\d., ]+) \|$", table, flags=re.M)
    assert len(rows) == 4
    for name, times, values in rows:
        for t, value in zip(times.split(", "), values.split(", "), strict=True):
            kernel = zoo.kernel(name.lower(), dim=3072, t_max=float(t))
            assert f"{mixing(kernel, 27.7).total_variation:.3f}" == value

"""docs/posterior.md: its code runs, and its method of one's own is one."""

import re
from pathlib import Path

import zoo
from zoo.testing.posteriors import closeness, dtypes, rows

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
    for law in (closeness, rows, dtypes):
        law(method)
    own = len([line for line in BLOCKS[1].splitlines() if line.strip()])
    assert own <= 25


def test_every_method_and_operator_is_on_the_page():
    import zoo.posterior as operators

    for name in zoo.components("posteriors"):
        assert f"| `{name}` |" in PAGE
    for name, value in vars(operators).items():
        made = isinstance(value, type) and issubclass(value, operators.Operator)
        if made and name not in ("Operator", "Function"):
            assert f"| `{name}(" in PAGE

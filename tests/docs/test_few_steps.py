"""Few evaluations: the table of the page is that of the figures, and so are its sentences."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDS = json.loads((ROOT / "docs" / "few-steps.json").read_text())["records"]
STUDENTS = [r for r in RECORDS if r["solver"] == "a student"]


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    before = {*sys.modules}
    import few_steps

    yield few_steps
    for name in {*sys.modules} - before:
        if str(ROOT / "benchmarks") in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_the_pages_table_is_that_of_the_figures(few_steps):
    assert few_steps.page(RECORDS) in (ROOT / "docs" / "solvers.md").read_text()


def test_students_keep_what_the_page_says_of_them():
    ratios = {(r["kernel"], r["nfe"]): r["ratio"][0] for r in STUDENTS}
    kernels = {"gravity", "gaussian", "pfgmpp"}
    assert kernels == {kernel for kernel, nfe in ratios if nfe == 5}
    assert all(ratios[kernel, 5] <= 1.2 and ratios[kernel, 8] <= 1.05 for kernel in kernels)
    assert all(r["samples"] == 10_000 for r in STUDENTS)


def test_students_are_nearer_than_every_solver_in_as_many_evaluations():
    for student in STUDENTS:
        same = "kernel", "nfe"
        rivals = [r for r in RECORDS if all(r[key] == student[key] for key in same)]
        assert len(rivals) >= 3
        assert all(student["ratio"][0] < r["ratio"][0] for r in rivals if r is not student)

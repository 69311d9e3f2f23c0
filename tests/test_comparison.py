"""The comparison: it measures what is not known yet, and its page says what the figures say."""

import json
import sys
from pathlib import Path

import pytest

import zoo
from zoo.evaluate.intervals import Estimate
from zoo.evaluate.report import Outcome, Setting
from zoo.evaluate.run import Job

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import comparison_page

    yield comparison_page
    del sys.modules["comparison_page"]


@pytest.fixture
def measured(page, monkeypatch, saved_images):
    """The comparison of two models, and what it measures: nothing is drawn."""
    import comparison

    done = []

    def outcome(model, setting, job, reference):
        done.append((model, setting))
        return Outcome(setting, {"frechet": Estimate(1.0, 0.9, 1.1, (1.0,))}, 0.1), []

    two = {name: zoo.load(str(saved_images)) for name in ("gravity-a", "flow-b")}
    some = [Setting("heun", steps, 2 * steps - 1) for steps in (2, 3, 4)]
    replaced = {
        "models": lambda: two,
        "settings": lambda model: some,
        "open_reference": lambda *_: None,
        "training_scores": lambda *_: {"frechet": 0.5},
        "outcome": outcome,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(comparison, name, value)
    yield comparison, done
    del sys.modules["comparison"]


def test_only_what_is_not_known_is_measured(measured, tmp_path):
    comparison, done = measured
    path, job = tmp_path / "comparison.json", Job(("frechet",), 10, (0,))
    comparison.measure(job, path, "flow-*")
    assert len(done) == 3 == len(comparison.read(path)["outcomes"])
    comparison.measure(job, path, "*")
    assert len(done) == 6
    known = comparison.read(path)["outcomes"].values()
    assert [r["model"] for r in known] == 3 * ["flow-b"] + 3 * ["gravity-a"]
    comparison.measure(job, path, "*")
    assert len(done) == 6, "all was known"
    comparison.measure(Job(("frechet",), 20, (0,)), path, "gravity-a")
    assert len(comparison.read(path)["outcomes"]) == 3, "those of 10 samples are no use now"


def test_an_interrupted_comparison_goes_on_where_it_stopped(measured, monkeypatch, tmp_path):
    comparison, done = measured
    whole, job = comparison.outcome, Job(("frechet",), 10, (0,))

    def cut(*given):
        if len(done) == 2:
            raise KeyboardInterrupt
        return whole(*given)

    monkeypatch.setattr(comparison, "outcome", cut)
    with pytest.raises(KeyboardInterrupt):
        comparison.measure(job, tmp_path / "comparison.json", "*")
    monkeypatch.setattr(comparison, "outcome", whole)
    comparison.measure(job, tmp_path / "comparison.json", "*")
    wanted = comparison.tasks(job)
    assert len(done) == len(wanted)
    assert [setting for _, setting in done] == [task.setting for task in wanted]


def record(model, value, solver="heun", nfe=9, half=1.0, **disturbed):
    names = ("frechet", "kid", "precision", "recall", "density", "coverage")
    figure = {"value": value, "low": value - half, "high": value + half, "values": [value]}
    setting = {"solver": solver, "steps": nfe, "nfe": nfe, **disturbed}
    return {"model": model, "setting": setting, "metrics": dict.fromkeys(names, figure)}


def test_the_verdict_is_decided_by_the_intervals(page):
    gravity, gaussian, flow = (f"{k}-fashion-mnist" for k in ("gravity", "gaussian", "flow"))
    records = [
        *(record(gravity, 10), record(gaussian, 20), record(flow, 13)),
        *(record(gravity, 20, nfe=18), record(gaussian, 10, nfe=18)),
        *(record(gravity, 20, nfe=35), record(gaussian, 21, nfe=35)),
        *(record(gravity, 30, bits=5), record(gaussian, 20, bits=5)),
        record(gravity, 1, solver="euler"),
    ]
    better, worse, tie = page.verdict(records).splitlines()
    assert better.endswith("apart: heun at 9 (10.0 ± 1.0 against flow's 13.0 ± 1.0).")
    assert worse.endswith(
        "apart: heun at 18 (20.0 ± 1.0 against gaussian's 10.0 ± 1.0); "
        "heun at 9 with 5 bits (30.0 ± 1.0 against gaussian's 20.0 ± 1.0)."
    )
    assert tie.endswith("overlap: heun at 35 (20.0 ± 1.0 against gaussian's 21.0 ± 1.0).")


def test_a_page_and_two_plots_of_models_that_lack_some_figures(page, tmp_path):
    records = [
        record("gravity-fashion-mnist", 10.0),
        record("gravity-fashion-mnist", 15.0, noise=0.1),
        record("gravity-fashion-mnist", 25.0, bits=5),
        record("flow-fashion-mnist", 120.0),
        record("flow-fashion-mnist", 30.0, solver="euler", nfe=35),
    ]
    found = {
        "samples": 500,
        "seeds": [0],
        "training_images": dict.fromkeys(records[0]["metrics"], 1.5),
        "outcomes": dict(enumerate(records)),
    }
    page.write_page(found, tmp_path)
    text = (tmp_path / "comparison.md").read_text()
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    assert ["heun", "9", "120 ± 1", "10.0 ± 1.0"] in rows
    assert ["euler", "35", "30.0 ± 1.0", "-"] in rows
    assert ["heun", "9", "noise 0.1", "-", "15.0 ± 1.0"] in rows
    assert ["heun", "9", "none", "120 ± 1", "10.0 ± 1.0"] in rows
    assert ["heun", "9", "5 bits", "-", "25.0 ± 1.0"] in rows
    assert any(row[:3] == ["flow", "euler, 35", "30.0 ± 1.0"] for row in rows)
    for name in ("comparison-nfe.png", "comparison-robustness.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_page_in_docs_is_the_one_of_its_figures(page, tmp_path):
    found = json.loads((DOCS / "comparison.json").read_text(encoding="utf-8"))
    page.write_page(found, tmp_path)
    written, shown = (folder / "comparison.md" for folder in (tmp_path, DOCS))
    assert written.read_text(encoding="utf-8") == shown.read_text(encoding="utf-8")

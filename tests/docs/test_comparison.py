"""The comparison: it measures what is not known yet, and its page says what the figures say."""

import json
import math
import sys
from pathlib import Path

import pytest

import zoo
from zoo.evaluation.intervals import Estimate
from zoo.evaluation.report import Outcome, Setting
from zoo.evaluation.settings import Measurement

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import comparison_page

    yield comparison_page
    for name in ("comparison_page", "comparison_plots", "comparison_records"):
        del sys.modules[name]


@pytest.fixture
def measured(page, monkeypatch, saved_images):
    """The comparison of two models, and what it measures: nothing is drawn."""
    import comparison

    done = []

    def evaluate_setting(model, setting, measurement, reference):
        done.append((model, setting, *measurement.seeds))
        return Outcome(setting, {"frechet": Estimate(1.0, 0.9, 1.1, (1.0,))}, 0.1), []

    two = {name: zoo.load(str(saved_images)) for name in ("gravity-a", "flow-b")}
    some = [Setting("heun", steps, 2 * steps - 1) for steps in (2, 3, 4)]
    replaced = {
        "models": lambda: two,
        "settings": lambda model: some,
        "open_reference": lambda *_: None,
        "training_scores": lambda *_: {"frechet": 0.5},
        "evaluate_setting": evaluate_setting,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(comparison, name, value)
    yield comparison, done
    del sys.modules["comparison"]


def test_only_what_is_not_known_is_measured(measured, tmp_path):
    comparison, done = measured
    path, measurement = tmp_path / "comparison.json", Measurement(("frechet",), 10, (0,))
    comparison.measure(measurement, path, "flow-*")
    assert len(done) == 3 == len(comparison.read(path)["outcomes"])
    comparison.measure(measurement, path, "*")
    assert len(done) == 6
    known = comparison.read(path)["outcomes"].values()
    assert [r["model"] for r in known] == 3 * ["flow-b"] + 3 * ["gravity-a"]
    comparison.measure(measurement, path, "*")
    assert len(done) == 6, "all was known"
    comparison.measure(Measurement(("frechet",), 10, (0, 1)), path, "gravity-a")
    assert len(done) == 9
    assert {seed for *_, seed in done[6:]} == {1}, "seed 0 was known"
    comparison.measure(measurement, path, "*")
    assert len(comparison.read(path)["outcomes"]) == 9, "seeds that were not asked for are kept"
    comparison.measure(Measurement(("frechet",), 20, (0,)), path, "gravity-a")
    assert len(comparison.read(path)["outcomes"]) == 3, "those of 10 samples are no use now"


def test_an_interrupted_comparison_goes_on_where_it_stopped(measured, monkeypatch, tmp_path):
    comparison, done = measured
    whole, measurement = comparison.evaluate_setting, Measurement(("frechet",), 10, (0,))

    def cut(*given):
        if len(done) == 2:
            raise KeyboardInterrupt
        return whole(*given)

    monkeypatch.setattr(comparison, "evaluate_setting", cut)
    with pytest.raises(KeyboardInterrupt):
        comparison.measure(measurement, tmp_path / "comparison.json", "*")
    monkeypatch.setattr(comparison, "evaluate_setting", whole)
    comparison.measure(measurement, tmp_path / "comparison.json", "*")
    wanted = comparison.tasks(measurement)
    assert [(setting, seed) for _, setting, seed in done] == [(t.setting, t.seed) for t in wanted]


def outcomes(model, *values, solver="heun", nfe=9, **perturbed):
    """Outcomes of one setting, a value per seed."""
    names = ("frechet", "kid", "precision", "recall", "density", "coverage")
    setting = {"solver": solver, "steps": nfe, "nfe": nfe, **perturbed}
    return [
        {
            "model": f"{model}-fashion-mnist",
            "seed": seed,
            "setting": setting,
            "metrics": dict.fromkeys(names, value),
        }
        for seed, value in enumerate(values)
    ]


def test_figures_are_means_over_seeds_with_their_interval(page):
    (record,) = page.pooled(outcomes("gravity", 10.0, 12.0, 14.0))
    half = 4.302653 * 2 / math.sqrt(3)  # Student's t of 2 degrees
    assert record["metrics"]["kid"] == {
        "value": 12.0,
        "low": pytest.approx(12 - half),
        "high": pytest.approx(12 + half),
        "by_seed": {0: 10.0, 1: 12.0, 2: 14.0},
    }
    assert page.shown(record["metrics"]["kid"]) == "12.0 ± 5.0"
    (alone,) = page.pooled(outcomes("gravity", 10.0))
    assert page.shown(alone["metrics"]["kid"]) == "10.0", "one seed has no interval"


def test_a_ratio_is_taken_within_seeds_so_that_what_they_share_cancels(page):
    luck = (10.0, 30.0, 20.0)
    records = page.pooled(
        outcomes("gravity", *luck) + outcomes("flow", *(1.25 * x for x in luck), 99.0)
    )
    ((own, others),) = page.duels(records)
    assert own["model"] == "gravity-fashion-mnist"
    assert others["flow"] == pytest.approx({"value": 0.8, "low": 0.8, "high": 0.8})


def test_the_verdict_is_decided_by_the_intervals(page):
    records = page.pooled(
        [
            *outcomes("gravity", 10.0, 20.0),
            *(*outcomes("gaussian", 20.0, 41.0), *outcomes("flow", 11.0, 19.0)),
            *(*outcomes("gravity", 20, 30, nfe=18), *outcomes("gaussian", 10, 15.1, nfe=18)),
            *(*outcomes("gravity", 30, 20, bits=5), *outcomes("gaussian", 20, 13.3, bits=5)),
            *(*outcomes("gravity", 1, 2, solver="euler"), *outcomes("flow", 5, solver="euler")),
        ]
    )
    flow, gaussian = page.verdict(records).splitlines()
    assert flow == "- Against flow. Undecided: 1 of 1 settings."
    assert gaussian == (
        "- Against gaussian. Better at heun 9. Worse at heun 9, 5 bits; heun 18. "
        "Undecided: 0 of 3 settings."
    )
    rows = [
        [c.strip() for c in line.split("|")[1:-1]] for line in page.ratios(records).splitlines()
    ]
    assert rows[0] == ["solver", "NFE", "perturbation", "flow", "gaussian"]
    assert ["heun", "9", "none", "0.98 (0.39 to 2.48)", "**0.49 (0.42 to 0.58)**"] in rows
    assert ["heun", "18", "none", "-", "**1.99 (1.91 to 2.08)**"] in rows
    assert not any(row[0] == "euler" for row in rows), "one seed is no pair"


def test_a_page_and_two_plots_of_models_that_lack_some_figures(page, tmp_path):
    records = [
        *outcomes("gravity", 9.0, 11.0),
        *outcomes("gravity", 15.0, noise=0.1),
        *outcomes("gravity", 25.0, bits=5),
        *outcomes("flow", 120.0),
        *outcomes("flow", 30.0, solver="euler", nfe=35),
    ]
    found = {
        "samples": 500,
        "training_images": dict.fromkeys(records[0]["metrics"], 1.5),
        "outcomes": dict(enumerate(records)),
    }
    page.write_page(found, tmp_path)
    text = (tmp_path / "comparison.md").read_text()
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    assert ["heun", "9", "120", "10.0 ± 12.7"] in rows
    assert ["euler", "35", "30.0", "-"] in rows
    assert ["heun", "9", "noise 0.1", "-", "15.0"] in rows
    assert ["heun", "9", "none", "120", "10.0 ± 12.7"] in rows
    assert ["heun", "9", "5 bits", "-", "25.0"] in rows
    assert any(row[:3] == ["flow", "euler, 35", "30.0"] for row in rows)
    for name in ("comparison-nfe.png", "comparison-robustness.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_page_in_docs_is_the_one_of_its_figures(page, tmp_path):
    found = json.loads((DOCS / "comparison.json").read_text(encoding="utf-8"))
    page.write_page(found, tmp_path)
    written, shown = (folder / "comparison.md" for folder in (tmp_path, DOCS))
    assert written.read_text(encoding="utf-8") == shown.read_text(encoding="utf-8")

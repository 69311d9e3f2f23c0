"""The comparison: it trains and measures what is missing; its page says what the figures say."""

import json
import math
import sys
from pathlib import Path

import pytest

import zoo
from zoo.config.recipe import from_dict
from zoo.evaluation.intervals import Estimate
from zoo.evaluation.report import Outcome, Setting

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SETTINGS = [Setting("heun", steps, 2 * steps - 1) for steps in (2, 3)]


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import comparison_page

    yield comparison_page
    for name in ("comparison_page", "comparison_plots", "comparison_records"):
        del sys.modules[name]


@pytest.fixture
def comparison(page, monkeypatch, saved_images):
    """The comparison's code; in its `done` what it trained and measured: no network is asked."""
    import comparison

    done = []

    def train(recipe, *, folder, resume):
        done.append(("train", recipe["kernel"]["use"], recipe["train"]["seed"], resume))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model").symlink_to(saved_images)

    def evaluate_setting(model, setting, measurement, reference):
        done.append((setting.steps, *measurement.seeds, measurement.samples))
        return Outcome(setting, {"frechet": Estimate(1.0, 0.9, 1.1, (1.0,))}, 0.1), []

    monkeypatch.setattr(zoo, "train", train)
    replaced = {
        "settings": lambda model: SETTINGS,
        "open_reference": lambda *_: None,
        "training_scores": lambda *_: {"frechet": 0.5},
        "evaluate_setting": evaluate_setting,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(comparison, name, value)
    monkeypatch.setattr(comparison, "done", done, raising=False)
    yield comparison
    del sys.modules["comparison"]


def test_only_what_is_missing_is_trained_and_measured(comparison, tmp_path):
    path, done = tmp_path / "comparison.json", comparison.done
    comparison.run(tmp_path, path, ["flow"], 1, 10)
    first = [("train", "flow", 0, False), (2, 0, 10), (3, 0, 10)]
    assert done == first
    comparison.run(tmp_path, path, ["flow", "gravity"], 1, 10)
    assert done[3:] == [("train", "gravity", 0, False), (2, 0, 10), (3, 0, 10)]
    comparison.run(tmp_path, path, ["gravity"], 2, 10)
    assert done[6:] == [("train", "gravity", 1, False), (2, 1, 10), (3, 1, 10)]
    found = comparison.read(path)
    assert [*found["trainings"]] == ["flow 0", "gravity 0", "gravity 1"]
    assert len(found["outcomes"]) == 6
    with pytest.raises(SystemExit, match="figures of 10 samples, not 20"):
        comparison.run(tmp_path, path, ["gravity"], 2, 20)


def test_a_training_that_was_stopped_goes_on_and_its_time_is_not_told(comparison, page, tmp_path):
    path = tmp_path / "comparison.json"
    (tmp_path / "flow-0").mkdir()
    (tmp_path / "flow-0" / "checkpoint.pt").touch()
    comparison.run(tmp_path, path, ["flow"], 1, 10)
    assert comparison.done[0] == ("train", "flow", 0, True)
    assert page.cost(comparison.read(path)["trainings"]) == ""


def test_figures_of_other_weights_are_measured_anew(comparison, tmp_path):
    path, done = tmp_path / "comparison.json", comparison.done
    comparison.run(tmp_path, path, ["flow"], 1, 10)
    found = comparison.read(path)
    next(iter(found["outcomes"].values()))["weights"] = "0" * 16
    path.write_text(json.dumps(found))
    comparison.run(tmp_path, path, ["flow"], 1, 10)
    assert done[3:] == [(2, 0, 10)]


def test_recipes_differ_in_kernel_and_seed_alone(comparison):
    one, two = (comparison.recipe(kernel, 3) for kernel in ("gravity", "pfgmpp"))
    assert {key for key in one if one[key] != two[key]} == {"name", "kernel"}
    assert two["kernel"] == {"use": "pfgmpp", "D": 128}
    assert from_dict(one, "comparison").train.seed == 3


def outcomes(kernel, *values, solver="heun", nfe=9, **perturbed):
    """Outcomes of one setting, a value per training."""
    names = ("frechet", "kid", "precision", "recall", "density", "coverage")
    setting = {"solver": solver, "steps": nfe, "nfe": nfe, **perturbed}
    return [
        {
            "kernel": kernel,
            "seed": seed,
            "setting": setting,
            "metrics": dict.fromkeys(names, value),
        }
        for seed, value in enumerate(values)
    ]


def test_figures_are_means_over_trainings_with_their_interval(page):
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
    assert page.shown(alone["metrics"]["kid"]) == "10.0", "one training has no interval"


def test_a_ratio_is_taken_in_pairs_so_that_what_they_share_cancels(page):
    luck = (10.0, 30.0, 20.0)
    records = page.pooled(
        outcomes("gravity", *luck) + outcomes("flow", *(1.25 * x for x in luck), 99.0)
    )
    ((own, others),) = page.duels(records)
    assert own["kernel"] == "gravity"
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
    gaussian, flow = page.verdict(records).splitlines()
    assert flow == "- Against flow. Undecided: 1 of 1 settings."
    assert gaussian == (
        "- Against gaussian. Better at heun 9. Worse at heun 9, 5 bits; heun 18. "
        "Undecided: 0 of 3 settings."
    )
    rows = [
        [c.strip() for c in line.split("|")[1:-1]] for line in page.ratios(records).splitlines()
    ]
    assert rows[0] == ["solver", "NFE", "perturbation", "gaussian", "flow"]
    assert ["heun", "9", "none", "**0.49 (0.42 to 0.58)**", "0.98 (0.39 to 2.48)"] in rows
    assert ["heun", "18", "none", "**1.99 (1.91 to 2.08)**", "-"] in rows
    assert not any(row[0] == "euler" for row in rows), "one training is no pair"


@pytest.mark.parametrize(
    ("gaussian", "said"),
    [
        ((20.0, 41.0), "0.49 (0.42 to 0.58) times that of Gaussian"),
        ((20.0, 41.0), "gravity is better there. Over all 1 settings"),
        ((5.0, 10.1), "gravity is worse there"),
        ((9.0, 22.0), "these trainings do not tell them apart"),
    ],
)
def test_the_answer_is_that_of_the_interval(page, gaussian, said):
    records = page.pooled(
        [
            *outcomes("gravity", 10.0, 20.0, solver="exp-abm3", nfe=20),
            *outcomes("gaussian", *gaussian, solver="exp-abm3", nfe=20),
        ]
    )
    assert said in page.answer(records)


def test_there_is_no_answer_without_two_pairs(page):
    alone = outcomes("gravity", 10.0, 20.0, solver="exp-abm3", nfe=20)
    assert "not two trainings" in page.answer(page.pooled(alone))


def test_a_page_and_two_plots_of_kernels_that_lack_some_figures(page, tmp_path):
    records = [
        *outcomes("gravity", 9.0, 11.0),
        *outcomes("gravity", 15.0, noise=0.1),
        *outcomes("gravity", 25.0, bits=5),
        *outcomes("flow", 120.0),
        *outcomes("flow", 30.0, solver="euler", nfe=35),
    ]
    found = {
        "samples": 500,
        "images": 64_000,
        "trainings": {"flow 0": {"cpu_seconds": 90, "whole": True}},
        "training_images": dict.fromkeys(records[0]["metrics"], 1.5),
        "outcomes": dict(enumerate(records)),
    }
    page.write_page(found, tmp_path)
    text = (tmp_path / "comparison.md").read_text()
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    assert ["heun", "9", "10.0 ± 12.7", "120"] in rows
    assert ["euler", "35", "-", "30.0"] in rows
    assert ["heun", "9", "noise 0.1", "15.0", "-"] in rows
    assert ["heun", "9", "none", "10.0 ± 12.7", "120"] in rows
    assert ["heun", "9", "5 bits", "25.0", "-"] in rows
    assert any(row[:3] == ["flow", "euler, 35", "30.0"] for row in rows)
    for name in ("comparison-nfe.png", "comparison-robustness.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_page_in_docs_is_the_one_of_its_figures(page, tmp_path):
    found = json.loads((DOCS / "comparison.json").read_text(encoding="utf-8"))
    page.write_page(found, tmp_path)
    written, shown = (folder / "comparison.md" for folder in (tmp_path, DOCS))
    assert written.read_text(encoding="utf-8") == shown.read_text(encoding="utf-8")

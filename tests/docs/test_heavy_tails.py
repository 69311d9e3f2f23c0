"""docs/heavy-tails.md: what its JSON gives, and the rivals that it speaks of."""

import json

import heavy_tails
import heavy_tails_page as page
import numpy as np
import pytest
import torch
from environments import ROOT
from heavy_tails_rivals import RIVALS, StudentPrior
from scipy import stats

import zoo
from zoo.evaluation.tails import TAILS

FOUND = json.loads((ROOT / "docs" / "heavy-tails.json").read_text(encoding="utf-8"))


def test_the_page_is_what_the_results_give():
    assert (ROOT / "docs" / "heavy-tails.md").read_text(encoding="utf-8") == page.written(FOUND)
    assert (ROOT / "docs" / "heavy-tails.png").exists() is bool(FOUND["runs"])


def test_without_runs_the_page_says_so_and_has_no_picture(tmp_path):
    file = tmp_path / "found.json"
    file.write_text(json.dumps({"runs": [], "facts": FOUND["facts"]}))
    page.write(file, heavy_tails.QUANTILES)
    told = file.with_suffix(".md").read_text(encoding="utf-8")
    assert "Nothing is measured yet" in told
    assert ".png" not in told
    assert not file.with_suffix(".png").exists()


def test_all_candidates_have_one_network_and_columns_only_those_so_called(monkeypatch):
    class Fitted(Exception):
        pass

    def fit(x, **options):
        raise Fitted(options)

    monkeypatch.setattr(zoo, "fit", fit)
    for name, candidate in heavy_tails.CANDIDATES.items():
        with pytest.raises(Fitted) as found:
            candidate(np.random.default_rng(0).normal(size=(20, 2)), 0, 100)
        network = dict(found.value.args[0]["network"])
        assert network.pop("columns", False) is name.endswith(", columns")
        assert network == {"use": "mlp", "width": 64, "blocks": 3}


def test_the_results_are_of_the_candidates():
    names = {heavy_tails.ROWS, *heavy_tails.CANDIDATES}
    assert {run["candidate"] for run in FOUND["runs"]} <= names
    keys = [(run["data"], run["candidate"], run["seed"]) for run in FOUND["runs"]]
    assert len(set(keys)) == len(keys)
    assert all([*run["figures"]] == [*TAILS] for run in FOUND["runs"])
    assert {run["data"] for run in FOUND["runs"]} <= {*page.TITLES}


def results(**errors):
    """Made-up runs, two seeds each, whose 99.9 % quantile errs by so much."""
    figures = dict.fromkeys(TAILS, 0.1)
    return {
        name: [
            {"figures": {**figures, "length_q99.9": e + d}, "options": {}} for d in (-0.01, 0.01)
        ]
        for name, e in errors.items()
    }


def test_the_verdict_says_which_are_right_and_which_cut_the_tail_off():
    told = " ".join(page.verdict(results(good=0.05, short=-0.4, long=0.7)))
    assert "right within 10 % under `good`;" in told
    assert "more than 10 % too small under `short`;" in told
    assert "more than 10 % too large under `long`." in told
    assert list(page.verdict({"other rows": []})) == []


@pytest.mark.parametrize(
    ("spread", "told"), [(0.001, "kernels of heavy tails win"), (1.0, "the intervals overlap")]
)
def test_the_page_begins_with_where_heavy_tails_win(spread, told):
    def runs(name, value):
        return [
            {"data": "student-2", "candidate": name, "figures": {page.WHOLE: value + spread * i}}
            for i in range(5)
        ]

    near, far = runs("gravity", 0.01), runs("flow", 0.05)
    assert f"`gravity` {0.01 + 2 * spread:.3f}" in page.in_short({"runs": near + far})
    assert page.in_short({"runs": near + far}).endswith(f"{told}.\n")
    lost = page.in_short({"runs": runs("gravity", 0.05) + runs("flow", 0.01)})
    assert lost.endswith(f"{told.replace('win', 'lose')}.\n")
    assert page.in_short({"runs": near[:4] + far[:4]}) == ""


def test_a_run_that_is_stopped_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(heavy_tails, "TRAIN", 500)
    monkeypatch.setattr(heavy_tails, "DRAWN", 300)
    monkeypatch.setattr(heavy_tails, "TRUTH", 1_000)
    calls = []

    def fake(x, seed, rows):
        calls.append(seed)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return heavy_tails.Sampler(lambda n, seed: torch.from_numpy(x[:n]), {"D": 3.0})

    monkeypatch.setattr(heavy_tails, "CANDIDATES", {"pfgmpp D = auto": fake})
    file = tmp_path / "found.json"
    with pytest.raises(KeyboardInterrupt):
        heavy_tails.run(file, ["student-2"], 2, 100)
    heavy_tails.run(file, ["student-2"], 2, 100)
    found = json.loads(file.read_text())
    assert calls == [0, 1, 1]
    assert [r["seed"] for r in found["runs"]] == [0, 0, 1, 1]
    page.write(file, heavy_tails.QUANTILES)
    assert "pfgmpp D = auto (3.0)" in file.with_suffix(".md").read_text()
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "student-2, pfgmpp D = auto, seed 1" in capsys.readouterr().out
    heavy_tails.run(file, ["copula-10"], 1, 100)
    page.write(file, heavy_tails.QUANTILES)
    assert "1 seed or more of each" in file.with_suffix(".md").read_text()
    with pytest.raises(SystemExit, match="100"):
        heavy_tails.run(file, ["student-2"], 3, 200)
    assert len(calls) == 4


def test_the_legend_names_what_any_panel_shows(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(page, "rendered", drawn.append)
    monkeypatch.setattr(page, "encoded", lambda _: b"")
    quantiles = {"length_quantiles": [1.0, 2.0], "truth_quantiles": [1.0, 1.0]}
    shown = [("student-2", page.OTHER), ("student-2", "one"), ("copula-10", "other")]
    runs = [{"data": data, "candidate": name, **quantiles} for data, name in shown]
    page.picture({"runs": runs}, [0.5, 0.9], tmp_path / "x.png")
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["one", "other"]


def test_the_student_prior_has_its_law():
    prior = StudentPrior(zoo.kernel("gaussian", dim=3), 2.5, 4.0)
    x = prior.sample(4_000, (3,), torch.Generator().manual_seed(0))
    squares = x.square().sum(dim=1) / 3 / 16
    assert stats.kstest(squares.numpy(), stats.f(3, 2.5).cdf).pvalue > 1e-3
    law = stats.multivariate_t(np.zeros(3), 16 * np.eye(3), df=2.5)
    np.testing.assert_allclose(prior.log_density(x[:9]), law.logpdf(x[:9].numpy()))


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_draw_rows_of_the_datas_size(name):
    x = 5 + 3 * np.random.default_rng(0).standard_t(4, size=(600, 2))
    drawn = RIVALS[name](x, 0, 4_096).sample(100, seed=0)
    assert drawn.shape == (100, 2)
    assert drawn.isfinite().all()
    assert 3 < float(drawn.median()) < 7

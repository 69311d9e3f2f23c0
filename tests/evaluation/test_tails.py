"""Measures of tails: what each says of samples that differ from the data in a known way."""

import numpy as np
import pytest
import torch
from evaluation_data import write_npz
from scipy import stats
from tiny_models import images, points

import zoo
from zoo.config.columns import Column
from zoo.errors import ZooError
from zoo.evaluation import features as extractors
from zoo.evaluation.metrics import METRICS, default, with_features
from zoo.evaluation.reference import open_reference
from zoo.evaluation.run import check_measurement, evaluate
from zoo.evaluation.settings import Measurement, model_setting
from zoo.evaluation.tails import TAILS, tail_figures
from zoo.folder.results import TITLES

CPU = torch.device("cpu")
UNITS, CENTRES = torch.tensor([1.0, 1e3, 1e-6]).double(), torch.tensor([0.0, -50.0, 7.0]).double()


def student(n, seed=0, nu=3):
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(n, 3)) / np.sqrt(chance.chisquare(nu, n) / nu)[:, None]
    return torch.from_numpy(x)


def figures(x, y):
    return dict(zip(TAILS, tail_figures(x, y).tolist(), strict=True))


def test_data_have_the_tails_of_themselves():
    x = student(5_000)
    assert all(value == 0 for value in figures(x, x).values())


def test_a_column_that_does_not_vary_leaves_the_figures_finite():
    x = torch.cat([student(3_000), torch.zeros(3_000, 1).double()], dim=1)
    y = x.clone()
    y[:, 3] = 1e-4
    assert all(abs(value) < 1e3 for value in figures(y, x).values())
    assert figures(y, x)["column_wasserstein"] == pytest.approx(1e-4 / 4)
    assert all(value == 0 for value in figures(x, x).values())


def test_units_and_places_of_columns_change_nothing():
    x, y = student(4_000), student(6_000, 1, nu=4)
    plain, moved = figures(x, y), figures(x * UNITS + CENTRES, y * UNITS + CENTRES)
    assert moved == {name: pytest.approx(value, rel=1e-6) for name, value in plain.items()}


def test_a_scale_shows_as_itself_and_leaves_the_index_alone():
    x = student(5_000)
    y = x - x.quantile(0.5, dim=0)
    y = y - torch.from_numpy(np.quantile(y.numpy(), 0.5, axis=0))
    found = figures(1.3 * y, y)
    for name in ("length_q0.1", "length_q1", "length_q99", "length_q99.9", "length_cvar"):
        assert found[name] == pytest.approx(0.3)
    assert found["length_wasserstein"] == pytest.approx(0.3)
    assert found["column_q0.1"] == pytest.approx(0.3)
    assert found["column_q99.9"] == pytest.approx(0.3)
    assert found["column_cvar"] == pytest.approx(0.3)
    assert found["column_wasserstein"] == pytest.approx(0.3)
    assert found["length_hill"] == pytest.approx(0, abs=1e-9)
    assert found["column_hill"] == pytest.approx(0, abs=1e-9)
    assert found["length_ks"] > 0.05


def test_a_light_tail_is_too_light_in_every_figure_of_the_tail():
    found = figures(
        0.7 * torch.from_numpy(np.random.default_rng(1).normal(size=(20_000, 3))), student(20_000)
    )
    assert found["length_q99.9"] < -0.5
    assert found["length_cvar"] < -0.4
    assert found["length_hill"] < -0.1
    assert found["column_q99.9"] > 0.4


def test_distances_are_those_of_scipy():
    x, y = student(700), student(900, 1, nu=2)
    y[:, 1] += 0.5
    found = figures(x, y)
    ks = [stats.ks_2samp(x[:, i], y[:, i]).statistic for i in range(3)]
    assert found["column_ks"] == pytest.approx(max(ks))
    centre = np.quantile(y.numpy(), 0.5, axis=0)
    w1 = [
        stats.wasserstein_distance(x[:, i], y[:, i]) / np.abs(y[:, i].numpy() - centre[i]).mean()
        for i in range(3)
    ]
    assert found["column_wasserstein"] == pytest.approx(np.mean(w1))


def test_columns_of_few_values_have_finite_figures():
    x = torch.randint(0, 2, (400, 2)).double()
    x[:, 1] = 5.0
    assert all(np.isfinite(v) for v in figures(x, x).values())
    assert all(np.isfinite(v) for v in figures(x + student(400)[:, :2], x).values())


@pytest.fixture(scope="module")
def vector_data(tmp_path_factory):
    path = tmp_path_factory.mktemp("tails") / "rows.npz"
    np.savez(path, x=student(2_100)[:, :2].float(), x_test=student(2_000, 1)[:, :2].float())
    return f"npz:{path}"


def reference(ref, shape=(2,)):
    return open_reference(ref, shape, extractors.build("pixels", shape, CPU))


def test_a_report_of_vectors_has_tails_with_intervals(vector_data):
    model, there = points(), reference(vector_data)
    for seeds in ((0,), (0, 1)):
        setting = model_setting(model, None, 2)
        measured = Measurement(("tails",), 2_000, seeds)
        report = evaluate("tiny", model, [setting], measured, there)
        found = report.outcomes[0].metrics
        assert [*found] == [*TAILS]
        assert all(e.low <= e.value <= e.high for e in found.values())
        assert [*report.training_images] == [*TAILS]
    assert {*TAILS} <= {*TITLES}


def test_tails_are_measured_of_enough_vectors_by_default(vector_data, tmp_path):
    assert "tails" in default((2,), 2_000)
    assert "tails" not in default((2,), 1_999)
    assert "tails" not in default((1, 8, 8), 5_000)
    with pytest.raises(ZooError, match="1999 samples are too few; these metrics take 2000"):
        check_measurement(Measurement(("tails",), 1_999, (0,)), points(), reference(vector_data))
    pictures = reference(write_npz(tmp_path / "patterns.npz", 2_000), (1, 8, 8))
    with pytest.raises(ZooError, match="'tails' is of vectors"):
        check_measurement(Measurement(("tails",), 2_000, (0,)), images(), pictures)


def test_the_card_shows_them(vector_data, tmp_path, command):
    model = zoo.fit(
        student(300)[:, :2],
        kernel="gaussian",
        network={"use": "mlp", "width": 8, "blocks": 1},
        images=128,
        progress=False,
    )
    folder = model.save_pretrained(tmp_path / "fitted")
    command(
        "eval", str(folder), "--data", vector_data, "-n", "2000", "--steps", "2", "--write-card"
    )
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| relative error of the 99.9 % quantile, of lengths |" in card
    assert "| Kolmogorov-Smirnov statistic, the largest of all columns |" in card


def test_rows_with_a_mean_that_float32_rounds_have_the_figures_of_others(tmp_path):
    x = student(4_000).numpy()
    for name, rows in (("near", x), ("far", 1e6 + 1e-3 * x)):
        np.savez(tmp_path / f"{name}.npz", x=rows)
    near, far = (reference(f"npz:{tmp_path / name}.npz", (3,)) for name in ("near", "far"))
    assert far.images.dtype == torch.float64
    samples = student(4_000, 1)
    found = METRICS["tails"].figures(samples, near)
    moved = METRICS["tails"].figures(1e6 + 1e-3 * samples, far)
    assert moved == pytest.approx(found, rel=1e-4, abs=1e-5)


def test_columns_of_whole_numbers_are_rounded_as_the_data_are(tmp_path):
    chance = np.random.default_rng(0)
    rows = chance.poisson(3.0, (6_000, 2)).astype(np.float64)
    np.savez(tmp_path / "rows.npz", x=rows[:3_000])
    opened = reference(f"npz:{tmp_path / 'rows.npz'}", (2,))
    spread = torch.from_numpy(rows[3_000:] + chance.uniform(-0.5, 0.5, (3_000, 2)))
    columns = (Column("a", "int64"), Column("b", "float64"))
    samples = with_features(spread, opened, columns)
    assert samples.images[:, 0].equal(torch.from_numpy(rows[3_000:, 0]))
    assert samples.images[:, 1].equal(spread[:, 1])

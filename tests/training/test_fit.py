"""zoo.fit: an array or a data frame in, a model out; what it chooses, keeps and refuses."""

import math
import pickle
import re
import sys
import time
import warnings

import numpy as np
import pandas as pd
import polars
import pytest
import torch
from forked import run

import zoo
from zoo.errors import ZooError, ZooWarning
from zoo.folder.picture import write_samples
from zoo.training.choices import solver_for
from zoo.training.early_stop import EarlyStop

TINY = {
    "kernel": "gaussian",  # needs no table of levels, which takes a second to fit
    "network": {"use": "mlp", "width": 8, "blocks": 1},
    "images": 256,
    "batch": 64,
}
MEAN, SIZE = np.array([1e6, -3.0, 0.0]), np.array([1e-3, 1e4, 1.0])
END = np.uint64(2**64 - 1)


def fit(x, **options):
    return zoo.fit(x, **{**TINY, "progress": False, **options})


def rows(n=200, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def frame(n=200):
    x = rows(n)
    return pd.DataFrame(
        {
            "age": np.rint(10 * x[:, 0]).astype("int16"),
            "size": MEAN[0] + SIZE[0] * x[:, 1],
            "ill": x[:, 2] > 0,
            7: pd.array(x[:, 2], dtype="Float32"),
        }
    )


@pytest.fixture(scope="module")
def table_model():
    return fit(frame())


def test_a_data_frame_comes_back_with_names_order_and_types(table_model):
    drawn = table_model.sample_frame(50, seed=0)
    assert list(drawn.columns) == ["age", "size", "ill", 7]
    assert drawn.dtypes.equals(frame().dtypes)
    assert np.abs((drawn["size"] - MEAN[0]) / SIZE[0]).max() < 10
    assert drawn["size"].nunique() == 50  # float32 has steps of 0.06 there
    x = table_model.sample(50, seed=0)
    assert np.array_equal(drawn["age"], x[:, 0].round().numpy())
    assert table_model.data.frame == "pandas"


def test_rows_of_a_data_frame_are_known_by_the_names_of_their_columns(table_model):
    given = frame(3)
    scores = table_model.log_prob(given)
    assert torch.equal(table_model.log_prob(given[[7, "ill", "size", "age"]]), scores)
    assert torch.equal(table_model.log_prob(given.to_numpy(dtype=float)), scores)
    with pytest.raises(ZooError, match="x_0 has no column 'ill'; it takes 'age', 'size', 'ill', 7"):
        table_model.log_prob(given.drop(columns="ill"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"size": pd.Timestamp("2020-01-01")}, "column 'size' is of type datetime64"),
        ({"size": "3"}, "column 'size' is of type str"),
        ({"size": 1j}, "column 'size' is of type complex128"),
    ],
)
def test_columns_that_are_no_numbers_have_no_density(table_model, change, told):
    with pytest.raises(ZooError, match=re.escape(told)):
        table_model.log_prob(frame(3).assign(**change))


def test_frames_whose_columns_cannot_be_told_apart_are_refused(table_model):
    given = frame(3)
    with pytest.raises(ZooError, match="x_0: two columns are called 'age'; rename one"):
        table_model.log_prob(pd.concat([given, given[["age"]]], axis=1))
    numbered = given.set_axis(range(4), axis=1)
    assert torch.equal(table_model.log_prob(numbered), table_model.log_prob(given))
    with pytest.raises(ZooError, match="x_0 has no column 'age'"):
        table_model.log_prob(numbered[[1, 0, 2, 3]])
    with pytest.raises(ZooError, match=r"x_0 is a LazyFrame; collect\(\) a lazy frame first"):
        table_model.log_prob(polars.DataFrame({"age": [1.0]}).lazy())


def test_names_that_are_one_as_text_are_not_written_as_parquet(tmp_path):
    model = fit(pd.DataFrame(rows(64, 2), columns=[7, "7"]), images=128)
    with pytest.raises(ZooError, match="two columns have one name as text"):
        write_samples(tmp_path / "a.parquet", model.sample(3, seed=0), model.data)
    assert not (tmp_path / "a.parquet").exists()


def test_a_parquet_file_of_numbered_columns_has_a_density(tmp_path):
    model = fit(pd.DataFrame(rows(64, 2)), images=128)
    x = model.sample(3, seed=0)
    write_samples(tmp_path / "a.parquet", x, model.data)
    found = model.log_prob(pd.read_parquet(tmp_path / "a.parquet"))
    assert torch.equal(found, model.log_prob(x))


def test_samples_are_written_as_parquet(table_model, tmp_path, command):
    folder = table_model.save_pretrained(tmp_path / "model")
    status, _, told = command("sample", str(folder), "-n", "20", "--seed", "0", "-o", "a.parquet")
    assert status == 0, told
    found, drawn = pd.read_parquet("a.parquet"), table_model.sample_frame(20, seed=0)
    assert [*found.columns] == ["age", "size", "ill", "7"]
    pd.testing.assert_frame_equal(found, drawn.set_axis(found.columns, axis=1))


def test_whole_numbers_without_names_are_rounded_too(tmp_path):
    whole = np.rint(9 * rows(64)).astype("int8")
    model = fit(whole, images=128)
    drawn = model.sample(50, seed=0)
    assert not torch.equal(drawn, drawn.round())
    frame = model.sample_frame(50, seed=0)
    assert list(frame.columns) == ["x0", "x1", "x2"]
    assert set(frame.dtypes) == {np.dtype("int8")}
    assert np.array_equal(frame, drawn.round())
    truth = fit(torch.from_numpy(whole > 0), images=128).sample_frame(50, seed=0)
    assert set(truth.dtypes) == {np.dtype(bool)}
    again = zoo.load(model.save_pretrained(tmp_path / "whole"))
    pd.testing.assert_frame_equal(again.sample_frame(50, seed=0), frame)
    assert fit(rows(64).tolist(), images=128).data.columns == ()


def test_more_whole_numbers_than_can_be_named_are_warned_of(monkeypatch):
    monkeypatch.setattr("zoo.data.table.MOST_COLUMNS", 2)
    with pytest.warns(ZooWarning, match="X has 3 columns of whole numbers; at most"):
        model = fit(np.rint(9 * rows(64)).astype(int), images=128)
    assert model.data.columns == ()


def test_polars_gets_its_own_data_frame(tmp_path, monkeypatch):
    given = polars.DataFrame({str(name): column.to_numpy() for name, column in frame().items()})
    given = given.cast({"age": polars.UInt8, "7": polars.Float32}, strict=False).fill_null(0)
    model = fit(given)
    again = zoo.load(model.save_pretrained(tmp_path / "model"))
    drawn = again.sample_frame(50, seed=0)
    assert isinstance(drawn, polars.DataFrame)
    assert drawn.schema == given.schema
    assert drawn["ill"].dtype == polars.Boolean
    assert np.array_equal(drawn["7"], model.sample(50, seed=0)[:, 3].float())
    write_samples(tmp_path / "a.parquet", model.sample(50, seed=0), model.data)
    assert polars.read_parquet(tmp_path / "a.parquet").equals(drawn)
    assert torch.equal(again.log_prob(given[:2]), model.log_prob(given[:2].to_numpy()))
    text = given.with_columns(polars.lit("x").alias("name"))
    with pytest.raises(ZooError, match="column 'name' is of type String"):
        fit(text)
    empty = given.with_columns(polars.lit(None, dtype=polars.Float64).alias("age"))
    with pytest.raises(ZooError, match=r"column 'age' has 200 missing \(NaN\)"):
        fit(empty)
    with pytest.raises(ZooError, match=r"collect\(\) a lazy frame first"):
        fit(given.lazy())
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ZooError, match="needs polars, which cannot be imported"):
        again.sample_frame(1)


def test_arrays_tensors_and_lists_give_the_same_model():
    x = rows(64).round(3)
    models = [fit(given, images=128) for given in (x, torch.from_numpy(x), x.tolist())]
    first, *others = (model.sample(4, seed=0) for model in models)
    assert all(torch.equal(first, other) for other in others)
    assert list(models[0].sample_frame(1, seed=0).columns) == ["x0", "x1", "x2"]
    assert not torch.equal(first, fit(x, images=128, seed=1).sample(4, seed=0))


def test_fitting_leaves_the_global_random_numbers_as_they_were():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    fit(rows(64), images=128)
    assert torch.equal(torch.get_rng_state(), before)


def draw_and_score(folder):
    model = zoo.load(folder)
    np.save("drawn.npy", model.sample(8, seed=1).numpy())
    np.save("scores.npy", model.log_prob(np.load("points.npy")).numpy())
    model.sample_frame(8, seed=1).to_pickle("frame.pkl")


def test_a_saved_model_does_the_same_in_another_process(table_model, tmp_path, monkeypatch):
    folder = table_model.save_pretrained(tmp_path / "table")
    points = frame(2).to_numpy(dtype=float)
    np.save(tmp_path / "points.npy", points)
    monkeypatch.chdir(tmp_path)
    done = run(draw_and_score, folder)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / "drawn.npy"), table_model.sample(8, seed=1).numpy())
    assert np.array_equal(np.load(tmp_path / "scores.npy"), table_model.log_prob(points).numpy())
    there = pd.read_pickle(tmp_path / "frame.pkl")
    pd.testing.assert_frame_equal(there, table_model.sample_frame(8, seed=1))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| `size` | float64 | 1e+06 | 0.00" in card
    assert "-n 64 -o rows.csv" in card


def test_pickled_models_keep_their_columns(table_model):
    again = pickle.loads(pickle.dumps(table_model))
    pd.testing.assert_frame_equal(
        again.sample_frame(3, seed=0), table_model.sample_frame(3, seed=0)
    )


@pytest.mark.parametrize("kernel", ["gaussian", "gravity", "pfgmpp", "tanh", "exp", "flow", "vp"])
def test_every_kernel_fits_data_of_any_size(kernel):
    x = MEAN + SIZE * np.random.default_rng(0).standard_t(3, size=(400, 3))
    model = fit(x, kernel=kernel, images=2_000, lr=1e-2, validation=0)
    drawn = (model.sample(200, seed=0).double().numpy() - MEAN) / SIZE
    assert np.isfinite(drawn).all()
    assert np.abs(np.median(drawn, axis=0)).max() < 0.5
    middle = np.diff(np.quantile(drawn, [0.25, 0.75], axis=0), axis=0) / 1.53  # of nu = 3
    assert middle.min() > 0.5
    assert middle.max() < 2
    if kernel in ("gaussian", "vp"):  # the others take many seconds
        assert torch.isfinite(model.log_prob(x[:1])).all()


def test_levels_reach_as_far_as_the_data(capsys):
    x = np.random.default_rng(0).standard_cauchy((500, 2))
    model = zoo.fit(x, **{**TINY, "kernel": "pfgmpp"})
    known = model.config.training.recipe
    z = (x - model.standardise.mean) / model.standardise.scale
    far = np.sqrt((z**2).mean(axis=1).max())
    assert float(model.kernel.level(model.kernel.t_max)) == pytest.approx(10 * far, rel=1e-3)
    assert known["train"]["level_std"] > 1.2
    line, _ended = capsys.readouterr().err.splitlines()
    assert "2 columns with heavy tails" in line
    assert "50 held out" in line
    assert model.config.solver.options["grid"]["cap"] == float(
        model.kernel.level(model.kernel.t_max)
    )
    light = fit(rows(), kernel="pfgmpp")
    assert "grid" not in light.config.solver.options
    assert light.kernel.part.options == {}
    assert light.config.training.recipe["train"]["level_std"] == 1.2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["gaussian", "gravity"])
def test_the_chosen_steps_reach_rows_that_are_far(name):
    """On the exact field of 99 % near 0 and 1 % far out: as many samples are far."""
    far = torch.zeros(10, 2, dtype=torch.float64)
    far[:, 0] = torch.linspace(400, 3_000, 10)
    near = torch.randn(990, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    usual = zoo.kernel(name, dim=2)
    kernel = {"use": name, "t_max": usual.t_max * 4_000 / float(usual.level(usual.t_max))}
    solver = zoo.solver("heun", grid=solver_for(kernel, (2,))["grid"])
    model = zoo.exact(zoo.kernel(name, dim=2, t_max=kernel["t_max"]), torch.cat([near / 2, far]))
    x = model.sample(10_000, seed=0, solver=solver, steps=44)
    assert float((x.norm(dim=1) > 100).double().mean()) == pytest.approx(0.01, abs=0.003)


def test_choices_can_be_overridden():
    model = fit(
        rows(),
        kernel={"use": "pfgmpp", "t_max": 500.0},
        D=5,
        solver={"use": "euler", "steps": 7},
        lr=3e-4,
        standardise=False,
        train={"ema_halflife": 77, "level_std": 2.0},
    )
    recipe = model.config.training.recipe
    assert recipe["kernel"] == {"use": "pfgmpp", "t_max": 500.0, "D": 5}
    assert recipe["solver"] == {"use": "euler", "steps": 7}
    assert (model.steps, model.standardise) == (7, None)
    train = recipe["train"]
    assert (train["lr"], train["batch"], train["images"]) == (3e-4, 64, 256)
    assert (train["ema_halflife"], train["level_std"]) == (77, 2.0)
    assert recipe["network"] == TINY["network"]


def test_minutes_choose_the_budget_and_bound_the_time(monkeypatch):
    since = time.monotonic()
    monkeypatch.setattr("zoo.training.fit.seconds_per_step", lambda trainer: 1e-4)
    model = fit(rows(), images=None, minutes=0.04, validation=0)
    assert time.monotonic() - since < 20
    planned = model.config.training.recipe["train"]["images"] / TINY["batch"]
    assert 1_000 < planned <= 24_000
    assert 1 < model.config.training.outcome.steps < planned / 2


def test_classes_by_number_and_by_name():
    x = rows(300)
    kind = np.array(["cat", "dog"])[(x[:, 0] > 0).astype(int)]
    model = fit(x, labels=kind, images=10_000, lr=1e-2, validation=0)
    assert model.classes == ("cat", "dog")
    sign = [
        np.sign(model.sample(100, seed=0, labels=k)[:, 0].numpy()).mean() for k in model.classes
    ]
    assert sign[0] < -0.5
    assert sign[1] > 0.5
    assert fit(x, labels=(x[:, 0] > 0).astype(int)).network.labels == 2


def test_a_fit_of_one_step_is_told_of_by_nobody(capfd, caplog):
    fit(rows(), images=64)
    assert caplog.text == capfd.readouterr().err == ""


def test_images_get_a_unet_and_stay_in_range():
    x = np.random.default_rng(0).integers(0, 256, (64, 1, 8, 8), dtype=np.uint8)
    small = {"use": "unet", "width": 8, "blocks": 1}
    model = fit(x, network=small, images=32, batch=16)
    assert model.sample(2, seed=0, steps=2).shape == (2, 1, 8, 8)
    assert (model.range, model.standardise) == ((-1.0, 1.0), None)
    whole = fit(x, network=small, images=32, batch=16, standardise=True)
    assert len(whole.standardise.mean) == 1
    with pytest.raises(ZooError, match="no rows of a table"):
        model.sample_frame(1)


@pytest.mark.parametrize(("shape", "warned"), [((40, 8, 8), True), ((40, 2, 16), False)])
def test_series_as_long_as_wide_are_told_as_what_they_are_read(shape, warned):
    x = np.random.default_rng(0).normal(size=shape)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit(x, network={"use": "unet1d", "width": 8}, images=32)
    said = [str(w.message) for w in told if "read as series" in str(w.message)]
    assert (said != []) is warned
    assert all("grey images are (n, 1, 8, 8)" in line for line in said)


def test_held_out_data_of_ones_own(measured):
    x, held_out = 1e3 + 7 * rows(), 1e3 + 7 * rows(40, seed=1)
    model = fit(x, validation=held_out)
    assert np.array_equal(measured[0].images[:40].numpy(), held_out)
    assert len(measured[0]) >= 2_048  # with several draws of noise each
    assert measured[0].standardise == model.standardise
    assert math.isfinite(model.config.training.outcome.validation_loss)
    without = fit(x, validation=0)
    assert without.config.training.outcome.validation_loss is None
    assert len(measured) == 1
    with pytest.raises(ZooError, match=r"validation has shape \(2,\) per sample, X has \(3,\)"):
        fit(x, validation=rows(40, 2))
    with pytest.raises(ZooError, match=r"validation = 1\.5; expected a fraction"):
        fit(x, validation=1.5)


def test_held_out_labels_are_those_of_the_data(measured):
    x, held_out = rows(), rows(4, seed=1)
    kinds = np.array(["ant", "bee", "cat", "dog"])[np.arange(200) % 4]
    model = fit(x, labels=kinds, validation=(held_out, ["bee", "dog", "dog", "bee"]))
    assert model.classes == ("ant", "bee", "cat", "dog")
    assert measured[0].labels[:4].tolist() == [1, 3, 3, 1]
    fit(x, labels=np.arange(200) % 4, validation=(held_out, [3, 0, 1, 0]))
    assert measured[1].labels[:4].tolist() == [3, 0, 1, 0]
    for labels, own, told in (
        (kinds, ["ant", "bee", "emu", "bee"], "X has no class 'emu'; it has ['ant', 'bee', 'cat'"),
        (kinds, [0, 1, 2, 3], "labels of the validation and those of X are of two kinds"),
        (kinds, None, "X has labels and validation none; give labels= and validation=(X, labels)"),
        (None, ["ant"] * 4, "validation has labels and X none"),
        (np.arange(200) % 4, [0, 1, 2, 4], "labels of the validation go to 4, those of X to 3"),
        (kinds, ["ant"], "labels of the validation have shape (1,); expected one per row, (4,)"),
    ):
        with pytest.raises(ZooError) as error:
            fit(x, labels=labels, validation=(held_out, own))
        assert told in str(error.value)


def test_training_stops_early_and_keeps_the_best_weights(monkeypatch):
    losses = iter([3.0, 2.0, 1.0, *[5.0] * 30])
    states = []

    def loss(self, trainer):
        states.append({k: v.clone() for k, v in trainer.averaged.state_dict().items()})
        return next(losses)

    monkeypatch.setattr(EarlyStop, "loss", loss)
    model = fit(rows(), images=64 * 100)
    outcome = model.config.training.outcome
    assert outcome.validation_loss == 1.0
    assert outcome.steps == 36  # the ninth figure of 25 in 100 steps, six after the best
    kept = model.network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in states[2].items())
    assert any(not torch.equal(kept[name], value) for name, value in states[8].items())


def test_what_is_held_out_is_measured(monkeypatch, measured, capsys):
    monkeypatch.setattr("zoo.training.fit_data.MOST", 16)
    monkeypatch.setattr("zoo.training.fit.MOST", 16)
    fit(rows(), images=128, progress=True)
    assert len(measured[0]) == 16
    told = capsys.readouterr().err
    assert "184 rows of shape (3,); 16 held out, and training" in told
    assert re.search(
        r"trained on 128 rows; kept are the weights after \d+, held-out loss 0\.\d", told
    )
    fit(rows(), images=128, validation=rows(40, seed=1), progress=True)
    assert len(measured[1]) == 40
    assert "40 held out, 16 of them measured, and training" in capsys.readouterr().err


def test_images_in_half_their_range_are_warned_of():
    x = np.random.default_rng(0).random((64, 1, 8, 8)).astype(np.float32)
    small = {"network": {"use": "unet", "width": 8, "blocks": 1}, "images": 32, "batch": 16}
    with pytest.warns(ZooWarning, match=r"X: images of real numbers from .*; give 2 x - 1"):
        fit(x, **small)
    with pytest.warns(ZooWarning, match=r"^validation: images of real numbers from"):
        fit(2 * x - 1, validation=x, **small)


def test_few_rows_for_many_columns_are_warned_of():
    with pytest.warns(ZooWarning, match="20 rows of 30 columns: with fewer rows than columns"):
        model = fit(rows(20, 30), images=128)
    assert model.sample(2, seed=0).shape == (2, 30)


@pytest.mark.parametrize(
    ("x", "options", "told"),
    [
        (rows(3), {}, "X has 3 rows; a density takes at least 8"),
        (np.full((20, 2), np.nan), {}, "column 0 has 20 missing (NaN)"),
        (np.ones((20, 2)), {}, "column 0 is 1 in all 20 rows, which has no density"),
        (np.array([["a"]] * 20), {}, "X holds text"),
        (rows(), {"condition": rows(3)}, "condition: 3 conditions for 200 samples"),
        (rows(), {"minutes": 1, "images": 5}, "minutes and images both say how long"),
        (rows(), {"kernel": "gravty"}, "did you mean 'gravity'"),
        (rows(), {"DD": 5}, "no option 'DD'"),
        (rows(), {"kernel": {"use": "pfgmpp", "D": 4}, "D": 5}, "the kernel's D is given twice"),
        (rows(), {"network": 3}, "network = 3; expected a name"),
        (rows(), {"network": {}}, "network = {}; expected a name"),
        (rows(), {"solver": ""}, "solver = ''; expected a name"),
        (rows(), {"kernel": "No kernel"}, "kernel = 'No kernel'; expected a name"),
        (rows(), {"batch": 0}, "batch = 0; expected a whole number of at least 1"),
        (rows(), {"lr": 0}, "lr = 0; expected a positive number"),
        (rows(), {"train": {"lrr": 3}}, "unknown key 'train.lrr'"),
        (rows(), {"train": 0}, "train = 0; expected a table of keys"),
        (rows(), {"train": {"images": 5}}, "train = {'images': ...} is an argument"),
        (rows(), {"train": {"batch": 5}}, "say zoo.fit(..., batch=...)"),
        (rows(), {"train": {"lr": 5}}, "say zoo.fit(..., lr=...)"),
        (rows(), {"train": {"seed": 5}}, "say zoo.fit(..., seed=...)"),
        (rows(), {"train": {"samples_every": 5}}, "into the folder of a run, and zoo.fit keeps"),
        (rows(), {"train": {"tensorboard": True}}, "train = {'tensorboard': ...} writes into"),
        (rows(), {"train": {"ema_lengths": [0.05, 0.1]}}, "train = {'ema_lengths': ...} writes"),
        (rows()[:, 0], {}, "for one column give X[:, None]"),
        (frame()["age"], {}, "for one column give df[['age']]"),
        (pd.Series(rows()[:, 0]), {}, "for one column give X.to_frame()"),
        (rows(), {"minutes": -1, "images": None}, "minutes = -1"),
        (rows(), {"labels": [0, 1]}, "labels have shape (2,); expected one per row, (200,)"),
        (
            rows(),
            {"labels": np.ma.masked_equal(np.arange(200) % 3, 1)},
            "labels is a masked array; fill in what is missing",
        ),
        (rows(), {"labels": np.full(200, END)}, f"X: label {END}; labels are class numbers from 0"),
        (rows(), {"labels": [0, 200] * 100}, "labels go to 200 in 200 rows"),
        (rows(), {"labels": np.full(200, 0.5)}, "labels are of float64; expected text"),
    ],
)
def test_what_cannot_be_fitted_is_one_clear_line(x, options, told):
    with pytest.raises(ZooError) as error:
        fit(x, **options)
    assert told in str(error.value)

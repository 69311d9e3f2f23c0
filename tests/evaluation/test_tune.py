"""zoo.evaluation.tune: grids that are found, kept and written."""

import json
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pytest
import torch
from common import run_zoo
from tiny_models import images, points
from zoo_solvers.adams import ExpABM3

import zoo
from zoo.cli import main
from zoo.config.model import dump_config
from zoo.config.part import Part
from zoo.config.standardise import Standardise
from zoo.config.training import TrainingRecord
from zoo.errors import ZooError
from zoo.evaluation.tune import adopt, bend, optimise_grid
from zoo.folder.card import write_card
from zoo.folder.read import read_card, read_config


@pytest.fixture(scope="module")
def model():
    points = torch.randn(12, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return zoo.exact("gaussian", points, solver="exp-abm3")


def test_a_bent_grid_decreases_between_the_same_ends():
    levels = np.geomspace(80, 0.002, 9)
    np.testing.assert_allclose(bend(levels, np.zeros(5)), levels)
    for seed in range(20):
        theta = np.random.default_rng(seed).normal(scale=3, size=5)
        bent = bend(levels, theta)
        assert (np.diff(bent) < 0).all()
        np.testing.assert_allclose(bent[[0, -1]], [80, 0.002])


def test_a_tuned_grid_is_better_on_samples_that_it_has_not_seen(model):
    tuned = optimise_grid(model, steps=9, n=48, rounds=60)
    assert tuned.after < 0.7 * tuned.before
    assert len(tuned.levels) == tuned.steps == 9
    assert isinstance(tuned.solver, ExpABM3)
    assert tuned.solver.part.options["grid"] == list(tuned.levels)
    times = tuned.solver.grid.times(model.kernel, 80.0, 0.002, 8)
    torch.testing.assert_close(times, torch.tensor(tuned.levels, dtype=torch.float64))


def test_errors_of_a_standardised_model_do_not_depend_on_the_units_of_its_data():
    plain, scaled = points(), points()
    known = Standardise((5.0, -3e3), (1.0, 1e3))
    data = msgspec.structs.replace(scaled.data, standardise=known)
    scaled.config = msgspec.structs.replace(scaled.describe(), data=data)
    one, other = (optimise_grid(m, steps=4, n=4, rounds=6) for m in (plain, scaled))
    assert (other.before, other.after) == pytest.approx((one.before, one.after), rel=1e-2)


def test_the_search_repeats_itself(model):
    first, second = (optimise_grid(model, steps=5, n=8, rounds=12) for _ in range(2))
    assert first.levels == second.levels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 2}, "steps = 2"),
        ({"n": 0}, "n = 0"),
        ({"rounds": 0}, "rounds = 0"),
        ({"solver": "torchdiffeq-rk4"}, "no option 'grid'"),
        ({"solver": "exp-adaptive"}, "exp-adaptive chooses its own steps"),
    ],
)
def test_what_cannot_be_tuned_is_told(model, options, message):
    with pytest.raises(ZooError, match=message):
        optimise_grid(model, **{"steps": 5, "n": 4, "rounds": 3, **options})


def test_a_solver_without_a_name_is_told():
    points = torch.eye(3, 2, dtype=torch.float64)
    with pytest.raises(ZooError, match="no name"):
        optimise_grid(zoo.exact("gaussian", points, solver=ExpABM3()), steps=5)


def test_a_model_given_conditions_is_told_what_to_do():
    with pytest.raises(ZooError, match=r"without conditions; .* given vectors of 2 .* zoo eval"):
        optimise_grid(images(condition=[2]), steps=5)


def test_a_tuned_model_is_saved_with_its_grid(tmp_path):
    model = images()
    tuned = optimise_grid(model, solver=Part("exp-ab2", {"scale": 0.7}), steps=4, n=2, rounds=3)
    adopt(model, tuned)
    again = zoo.load(model.save_pretrained(tmp_path / "tuned"))
    assert again.steps == 4
    assert again.solver.part.options == {"grid": list(tuned.levels), "scale": 0.7}
    assert torch.equal(again.sample(2, seed=3), model.sample(2, seed=3))


def test_a_tuned_model_forgets_what_its_old_grid_was_worth():
    model = images()
    common = {"data": "x", "split": "test", "features": "pixels", "title": "pixels", "metrics": {}}
    heun, old = common | {"solver": "heun"}, common | {"solver": "exp-abm3"}
    training = {"outcome": {"steps": 3}, "evaluation": [old, heun, common]}
    model.config = msgspec.structs.replace(
        model.describe(), training=TrainingRecord.decode(training)
    )
    adopt(model, optimise_grid(model, solver="exp-abm3", steps=4, n=2, rounds=3))
    assert model.config.training.encode() == {"outcome": {"steps": 3}, "evaluation": [heun]}
    adopt(model, optimise_grid(model, solver=Part("heun"), steps=4, n=2, rounds=3))
    assert model.config.training.encode() == {"outcome": {"steps": 3}}


def test_the_command_prints_and_writes(tmp_path, capsys):
    folder = images().save_pretrained(tmp_path / "tiny")
    asked = ["--solver", "exp-abm3", "--steps", "4", "-n", "2", "--rounds", "3"]
    with pytest.raises(SystemExit) as done:
        main(["tune", str(folder), *asked, "-o", str(tmp_path / "out"), "--json"])
    assert done.value.code in (0, None)
    told = json.loads(capsys.readouterr().out)
    assert told["solver"] == "exp-abm3"
    assert len(told["levels"]) == 4
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["solver"] == {"use": "exp-abm3", "grid": told["levels"], "steps": 4}


@pytest.fixture
def tuned_by(tmp_path, capsys):
    """Run `zoo tune` on a tiny model in a folder; return (exit status, stdout, stderr)."""
    folder = images().save_pretrained(tmp_path / "tiny")
    asked = ["--solver", "exp-abm3", "--steps", "4", "-n", "2", "--rounds", "3"]
    return partial(run_zoo, capsys, "tune", folder, *asked)


def test_the_card_speaks_of_the_new_solver_and_not_of_old_results(tuned_by, tmp_path):
    folder = tmp_path / "tiny"
    result = {"data": "x", "split": "test", "features": "pixels", "title": "pixels"}
    result |= {"metrics": {"kid": [0.5, 0.4, 0.6]}}  # of the model by default
    config = read_config(folder)
    config = msgspec.structs.replace(
        config, training=TrainingRecord.decode({"evaluation": [result]})
    )
    (folder / "config.json").write_bytes(dump_config(config))
    card = write_card("tiny", config).replace("# tiny\n", "# tiny\n\nPainted by Ada.\n")
    (folder / "README.md").write_text(card)
    assert "model-index" in card
    assert tuned_by("-o", tmp_path / "out")[0] == 0
    told = read_card(tmp_path / "out")
    assert "| solver | `exp-abm3` |" in told
    assert "model_name: tiny" in told
    assert "Painted by Ada." in told
    assert not [old for old in ("model-index", "## Evaluation", "`heun`") if old in told]


def test_a_folder_of_something_else_is_refused_before_the_search(tuned_by, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "zoo.evaluation.tune.optimise_grid", lambda *_, **__: pytest.fail("searched")
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    status, out, err = tuned_by("-o", tmp_path / "out")
    assert (status, out) == (1, "")
    assert "holds other files and no model" in err


def test_where_the_disk_refuses_the_grid_is_told_all_the_same(tuned_by, tmp_path, monkeypatch):
    def full(*_, **__):
        raise ZooError("cannot write out: No space left on device")

    monkeypatch.setattr("zoo.folder.write.save_weights", full)
    for more in ((), ("--json",)):
        status, out, err = tuned_by("-o", tmp_path / "out", *more)
        assert (status, "No space left" in err) == (1, True)
        assert "levels" in out


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_grid_that_is_no_better_is_told_and_not_written(tuned_by, tmp_path, monkeypatch, more):
    search = optimise_grid

    def worse(*args, **options):
        return replace(search(*args, **options), after=9.0)

    monkeypatch.setattr("zoo.evaluation.tune.optimise_grid", worse)
    status, out, err = tuned_by("-o", tmp_path / "out", *more)
    assert (status, "levels" in out) == (1, True)
    assert "no grid better than" in err
    assert not (tmp_path / "out").exists()


def test_the_command_tells_and_writes_what_it_learned(tmp_path, capsys):
    folder = images().save_pretrained(tmp_path / "tiny")
    asked = ["--learn", "both", "--steps", "4", "-n", "8", "--rounds", "6", "--minutes", "1"]

    def told(*more):
        with pytest.raises(SystemExit) as done:
            main(["tune", str(folder), *asked, *more])
        assert done.value.code in (0, None)
        return capsys.readouterr().out

    found = json.loads(told("-o", str(tmp_path / "out"), "--json"))
    options = found["options"]
    assert (found["solver"], len(options["coefficients"])) == ("learned", 4)
    assert options["grid"] == found["levels"]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["solver"] == {"use": "learned", **options, "steps": 4}
    assert f"coefficients {json.dumps(options['coefficients'])}" in told()


def test_options_of_learning_are_refused_without_it(tmp_path, capsys):
    for option in (["--minutes", "2"], ["--label", "1"], ["--guidance", "2"]):
        with pytest.raises(SystemExit) as done:
            main(["tune", str(tmp_path), *option])
        assert done.value.code == 2
        assert "--minutes belong to --learn" in capsys.readouterr().err

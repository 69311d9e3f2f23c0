"""`zoo eval`: tables, JSON, sweeps, the card, and what it refuses before it draws."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from common import refused, run_zoo
from evaluation_data import write_npz
from msgspec.structs import replace
from tiny_models import images, points

import zoo
from zoo.cli.measuring import shown
from zoo.config.model import dump_config
from zoo.config.standardise import Standardise
from zoo.config.training import TrainingRecord
from zoo.errors import ZooError
from zoo.evaluation.distances import fit_gaussian, frechet_distance
from zoo.evaluation.features import build
from zoo.evaluation.intervals import Estimate
from zoo.evaluation.reference import open_reference, round_to_bytes
from zoo.folder.card import write_card
from zoo.folder.card_edit import name_in
from zoo.folder.read import read_card, read_config


@pytest.fixture
def evaluated(capsys, tmp_path, monkeypatch, saved_images):
    """Run `zoo eval FOLDER --data PATTERNS ARGS`; return (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(saved_images, "gravity-tiny")
    data = write_npz(tmp_path / "patterns.npz", n=60)

    def run(*args, data=data):
        chosen = ["--data", data] if data else []
        return run_zoo(capsys, "eval", "./gravity-tiny", *chosen, *args)

    return run


def test_a_table_of_every_setting(evaluated):
    options = ("-n", 20, "--metrics", "frechet,kid", "--solvers", "euler,heun", "--nfe", "3")
    status, out, err = evaluated(*options, "--noise", "0.1", "--bits", "8")
    assert status == 0
    lines = out.splitlines()
    assert lines[0].startswith("./gravity-tiny against the train split of npz:")
    assert lines[2].split()[:5] == ["solver", "steps", "NFE", "perturbed", "frechet"]
    assert [line.split()[:3] for line in lines[3:5]] == [["euler", "3", "3"], ["heun", "2", "3"]]
    assert [line.split()[3:5] for line in lines[5:]] == [["noise", "0.1"]] * 2 + [["8", "bits"]] * 2
    assert all("±" in line for line in lines[3:])
    assert "20 samples by euler, 3 steps, 3 evaluations, noise 0.1" in err


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (12.345, 0.4, "12.35 ± 0.40"),
        (1.8, 1.6e-15, "1.8"),
        (0.25, 0.0, "0.25"),
        (5e3, 12, "5000 ± 12"),
    ],
)
def test_a_figure_has_the_digits_that_its_interval_leaves(value, half, text):
    assert shown(Estimate(value, value - half, value + half, (value,))) == text


def test_json_is_the_file_and_the_default_solver_is_the_models_own(evaluated, tmp_path):
    options = ("-n", 20, "--steps", 3, "--metrics", "nearest", "--seeds", 2, "--seed", 5)
    status, out, _ = evaluated(*options, "--json", "-o", "found.json")
    assert status == 0
    printed = json.loads(out)
    assert printed == json.loads((tmp_path / "found.json").read_text())
    assert printed["seeds"] == [5, 6]
    (outcome,) = printed["outcomes"]
    assert outcome["setting"] == {"solver": "heun", "steps": 3, "nfe": 5}
    assert len(outcome["metrics"]["nearest_pixels"]["values"]) == 2
    assert printed["machine"]["device"] == "cpu"
    assert printed["weights"].keys() == {"model.safetensors"}


def test_where_the_disk_refuses_the_figures_are_told_all_the_same(evaluated, monkeypatch):
    def full(*_):
        raise ZooError("cannot write x.json: No space left on device")

    monkeypatch.setattr("zoo.evaluation.report.write", full)
    options = ("-n", 20, "--steps", 3, "--metrics", "kid", "-o", "x.json")
    status, out, err = evaluated(*options)
    assert (status, err.count("No space left")) == (1, 2)
    assert "heun" in out
    assert len(json.loads(evaluated(*options, "--json")[1])["outcomes"]) == 1


def test_a_sweep_that_is_cut_short_keeps_what_it_measured(evaluated, monkeypatch, tmp_path):
    sweep = ("-n", 20, "--metrics", "frechet", "--nfe", "3", "-o", "found.json", "--solvers")
    expected = json.loads(evaluated(*sweep, "euler", "--json")[1])["outcomes"][0]["metrics"]
    (tmp_path / "found.json").unlink()
    sample = zoo.FieldModel.sample

    def stopped(model, *args, solver, **options):
        if solver.part.use != "euler":
            raise KeyboardInterrupt
        return sample(model, *args, solver=solver, **options)

    monkeypatch.setattr(zoo.FieldModel, "sample", stopped)
    status, out, err = evaluated(*sweep, "euler,heun")
    assert (status, out) == (130, "")
    (outcome,) = json.loads((tmp_path / "found.json").read_text())["outcomes"]
    assert outcome["metrics"] == expected
    value = expected["frechet"]["value"]
    (told,) = re.findall(r": frechet ([\d.]+) ± ", err)
    assert float(told) == pytest.approx(value, rel=0.05)


def test_results_in_the_card(evaluated, tmp_path):
    assert evaluated("-n", 20, "--steps", 3, "--metrics", "frechet", "--write-card")[0] == 0
    folder = tmp_path / "gravity-tiny"
    (entry,) = read_config(folder).training.evaluation
    assert (entry.solver, entry.nfe, entry.features) == ("heun", 5, "pixels")
    assert "| Frechet distance |" in read_card(folder)


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--solvers", "euler"), 2, "both --solvers and --nfe"),
        (("--solvers", "euler", "--nfe", "3", "--steps", "2"), 2, "not both"),
        (("--nfe", "3,x", "--solvers", "euler"), 2, "expected numbers as in 8,6,5"),
        (("--bits", "7.5"), 2, "expected whole numbers"),
        (("--bits", "nan"), 2, "expected whole numbers"),
        (("--nfe", "inf", "--solvers", "euler"), 2, "expected whole numbers"),
        (("--steps", "1000000000"), 2, "not in the range 1<=x<=100000"),
        (("--metrics", "kid", "-n", "20", "--data", "toy:two-moons"), 1, "vectors, not images"),
        (("-o", "."), 1, "name a file"),
        (("-o", "absent/x.json"), 1, "there is no folder absent"),
        (("-n", "5"), 1, "5 samples are too few"),
        (("--metrics", "fid"), 1, "no metric 'fid'"),
        (("--features", "garments"), 1, "1x28x28"),
        (("--metrics", "classes"), 1, "needs a model with labels"),
        (("--solvers", "dopri5", "--nfe", "4"), 1, "dopri5 cannot keep to 4 evaluations"),
        (("--noise", "-1", "-n", "20"), 1, "noise = -1"),
        (("--bits", "1", "-n", "20"), 1, "bits = 1"),
        (("--kernel", "tanh"), 1, "leave kernel out"),
    ],
)
def test_refusals_are_one_line(evaluated, options, status, said):
    assert said in refused(evaluated(*options), status)


@pytest.fixture
def gaussian(tmp_path):
    """The folder of a model trained under a Gaussian kernel, and data for it."""
    folder = images(kernel="gaussian").save_pretrained(tmp_path / "gaussian-tiny")
    return folder, write_npz(tmp_path / "patterns.npz", n=60)


def test_under_another_kernel(command, gaussian):
    folder, data = gaussian
    options = ("-n", 20, "--steps", 3, "--metrics", "frechet", "--data", data)
    status, out, err = command("eval", folder, "--kernel", "gravity", *options, "--json")
    assert status == 0
    assert f"{folder} under the kernel gravity: 1 x 20 samples by heun" in err
    lifted, own = json.loads(out), json.loads(command("eval", folder, *options, "--json")[1])
    assert (lifted["kernel"], own["kernel"]) == ("gravity", "gaussian")
    # to each kernel its own samples
    x = zoo.load(folder, kernel="gravity").sample(20, seed=0, steps=3)
    features = round_to_bytes(x, (-1.0, 1.0)).flatten(1).double()
    reference = open_reference(data, (1, 8, 8), build("pixels", (1, 8, 8), torch.device("cpu")))
    expected = frechet_distance(fit_gaussian(features), reference.gaussian)
    assert lifted["outcomes"][0]["metrics"]["frechet"]["values"] == [pytest.approx(expected)]
    assert lifted["outcomes"][0]["metrics"] != own["outcomes"][0]["metrics"]
    title = command("eval", folder, "--kernel", "gravity", *options)[1].partition(" against ")[0]
    assert title == f"{folder} under the kernel gravity"


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--kernel", "gravty"), 1, "did you mean 'gravity'"),
        (("--kernel", "gravity", "--write-card"), 2, "--write-card is for the model's own kernel"),
    ],
)
def test_kernels_that_a_model_cannot_be_measured_under(command, gaussian, options, status, said):
    folder, data = gaussian
    assert said in refused(command("eval", folder, "--data", data, *options), status)


def test_a_model_that_does_not_say_what_it_learned_from(evaluated):
    assert "name it with --data" in refused(evaluated("-n", 20, data=None), 1)


def test_nearest_is_of_the_data_that_a_model_learned_from(evaluated, tmp_path):
    folder, drawn = tmp_path / "gravity-tiny", ("-n", 20, "--steps", 2)

    def learned_from(data):
        config = read_config(folder)
        record = TrainingRecord(recipe={"data": {"use": data}})
        (folder / "config.json").write_bytes(dump_config(replace(config, training=record)))

    learned_from("fashion-mnist")
    status, out, err = evaluated(*drawn)
    assert (status, "nearest_pixels" in out) == (0, False)
    assert "nearest left out: it was not trained on npz:" in err
    said = "metric 'nearest' is of the data that a model was trained on, which 'npz:"
    assert said in refused(evaluated(*drawn, "--metrics", "nearest"), 1)
    learned_from(f"npz:{tmp_path / 'patterns.npz'}")  # kept without its folders
    assert "nearest_pixels" in evaluated(*drawn, "--metrics", "nearest")[1]


def test_figures_of_a_standardised_model_do_not_depend_on_units(command, tmp_path):
    drawn = ("-n", 40, "--steps", 3, "--metrics", "frechet,kid,prdc", "--json", "--data")
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()

    def measured(mean, scale, *args):
        model, known = points(), Standardise(mean, scale)
        data = replace(model.data, standardise=known)
        model.config = replace(model.describe(), data=data)
        np.savez(tmp_path / "x.npz", x=np.array(mean) + 2 * np.array(scale) * x)
        ref = f"npz:{tmp_path / 'x.npz'}"
        out = command("eval", model.save_pretrained(tmp_path / "m"), *drawn, ref, *args)[1]
        found = json.loads(out)
        figures = found["outcomes"][0]["metrics"]
        return found["features"]["name"], [estimate["value"] for estimate in figures.values()]

    one, other = measured((0.0, 0.0), (1.0, 1.0)), measured((5.0, -3.0), (1.0, 100.0))
    assert one[0] == other[0] == "standardised"
    assert other[1] == pytest.approx(one[1], rel=1e-4, abs=1e-4)
    raw = measured((5.0, -3.0), (1.0, 100.0), "--features", "pixels")
    assert raw[1][0] > 100 * one[1][0]


def test_where_the_reader_goes_away_the_figures_are_written_all_the_same(evaluated, monkeypatch):
    def closed(*_):
        raise BrokenPipeError

    monkeypatch.setattr("zoo.cli.eval._print_report", closed)
    options = ("-n", 20, "--steps", 3, "--metrics", "kid", "-o", "x.json", "--write-card")
    assert evaluated(*options)[0] == 1
    assert len(json.loads(Path("x.json").read_text())["outcomes"]) == 1


def test_the_card_keeps_the_models_name_in_a_folder_of_another(evaluated, tmp_path):
    folder = tmp_path / "gravity-tiny"
    (folder / "README.md").write_text(write_card("ada", read_config(folder)))
    assert evaluated("-n", 20, "--steps", 3, "--metrics", "frechet", "--write-card")[0] == 0
    card = read_card(folder)
    assert "model-index:\n- name: ada\n" in card  # the Hub's form where there are figures
    assert name_in(card) == "ada"
    assert "| Frechet distance |" in card
    assert "gravity-tiny" not in card

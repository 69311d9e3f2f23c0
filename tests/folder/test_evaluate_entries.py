"""Results in the model folder: config.json keeps them, the Hub's client reads the card's."""

import errno
import json
import shutil

import pytest
from huggingface_hub import ModelCard
from msgspec.structs import replace
from test_card import config, trained
from tiny_models import images

from zoo.config.training import TrainingRecord
from zoo.errors import ZooError
from zoo.evaluation import card
from zoo.evaluation.intervals import Estimate
from zoo.evaluation.report import Outcome, Report, Setting
from zoo.folder.card import write_card
from zoo.folder.read import read_card, read_config
from zoo.folder.results import table

EVALUATION = "evaluation"
ENTRY = {
    "data": "fashion-mnist",
    "split": "test",
    "features": "garments",
    "title": "garment features",
    "samples": 10_000,
    "seeds": [0],
    "solver": "heun",
    "steps": 18,
    "nfe": 35,
    "metrics": {"frechet": [12.5, 12.0, 13.0], "kid": [1e-05, -2e-05, 4e-05]},
}
OWN = (Setting("heun", 18, 35),)


def report(value=12.5, settings=OWN, **model_metrics):
    metrics = {"frechet": Estimate(value, value - 0.5, value + 0.5, (value,))}
    return Report(
        format=1,
        model="gravity-tiny",
        weights={},
        data={"ref": "digits", "name": "digits", "split": "test", "images": 299},
        features={"name": "pixels", "title": "pixels"},
        samples=100,
        seeds=(0,),
        intervals="jackknife",
        outcomes=tuple(Outcome(s, metrics, 1.0) for s in settings),
        model_metrics=model_metrics,
    )


@pytest.fixture
def folder(saved_images, tmp_path):
    return shutil.copytree(saved_images, tmp_path / "gravity-tiny")


def test_the_hubs_client_reads_the_figures():
    text = write_card("gravity-x", trained())
    assert ModelCard(text).data.eval_results is None
    text = write_card("gravity-x", config(recipe=trained().training.recipe, evaluation=[ENTRY]))
    found = ModelCard(text).data
    assert found.model_name == "gravity-x"
    frechet, kid = found.eval_results
    assert (frechet.metric_type, frechet.metric_value) == ("frechet", 12.5)
    assert frechet.metric_name == "Frechet distance, garment features"
    assert (frechet.dataset_type, frechet.dataset_name) == ("ada/digits", "fashion-mnist")
    assert frechet.dataset_split == "test"
    assert frechet.task_type == "unconditional-image-generation"
    assert frechet.metric_args["interval_95"] == [12.0, 13.0]
    assert frechet.metric_args["nfe"] == 35
    assert kid.metric_value == 1e-05
    assert kid.metric_args["interval_95"] == [-2e-05, 4e-05]


def test_the_table_says_what_was_compared_with_what():
    text = write_card("m", config(evaluation=[ENTRY]))
    assert "| Frechet distance | 12.5 | 12 to 13 |" in text
    assert "10,000 samples a seed (seed 0) by heun, 18 steps, 35 evaluations" in text
    assert "the test split of fashion-mnist by garment features" in text
    assert "no FID" in text


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "text",
        [3],
        [{"data": "x"}],
        [ENTRY | {"metrics": [1]}],
        [ENTRY | {"metrics": {"frechet": 3}}],
        [ENTRY | {"metrics": {"frechet": ["a", "b", "c"]}}],
    ],
)
def test_evaluations_of_another_form_are_left_out(broken):
    assert TrainingRecord.decode({EVALUATION: broken}).evaluation == ()


@pytest.mark.parametrize(
    "odd", [{"steps": None}, {"samples": "many"}, {"seeds": 777}, {"solver": []}, {"nfe": "35"}]
)
def test_conditions_of_another_form_are_left_out(odd):
    text = "\n".join(table(TrainingRecord.decode({EVALUATION: [ENTRY | odd]})))
    assert "compared with the test split of fashion-mnist" in text
    assert not any(f" {value}" in text for value in odd.values())


def test_what_is_not_of_the_form_does_not_stop_new_results(folder):
    raw = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | {"training": {EVALUATION: ["odd"]}}))
    card.write(folder, report(), images().network)
    assert len(read_config(folder).training.evaluation) == 1


def test_results_go_into_config_and_card_and_prose_stays(folder):
    path = folder / "README.md"
    prose = "\nWritten by hand.\n"
    path.write_text(path.read_text() + prose)
    card.write(folder, report(), images().network)
    (kept,) = read_config(folder).training.evaluation
    assert kept.metrics == {"frechet": (12.5, 12.0, 13.0)}
    text = read_card(folder)
    assert text.endswith(prose)
    assert "| Frechet distance | 12.5 | 12 to 13 |" in text
    assert "parameters; data of shape 1x8x8" in text
    assert ModelCard(text).data.eval_results[0].metric_value == 12.5


def test_new_results_replace_those_of_the_same_setting_alone(folder):
    network = images().network
    card.write(folder, report(settings=(Setting("heun", 18, 35), Setting("euler", 9, 9))), network)
    card.write(folder, report(value=9.0), network)
    found = read_config(folder).training.evaluation
    assert [(e.solver, e.metrics["frechet"][0]) for e in found] == [
        ("heun", 9.0),
        ("euler", 12.5),
    ]


def test_other_figures_measured_alike_stay(folder):
    network, accuracy = images().network, Estimate(0.9, 0.8, 1.0, (0.9,))
    card.write(folder, report(), network)
    alone = Outcome(OWN[0], {"class_accuracy_guidance_1": accuracy}, 1.0)
    card.write(folder, replace(report(), outcomes=(alone,)), network)
    (entry,) = read_config(folder).training.evaluation
    assert set(entry.metrics) == {"frechet", "class_accuracy_guidance_1"}
    card.write(folder, replace(report(), outcomes=(alone,), samples=50), network)
    (entry,) = read_config(folder).training.evaluation
    assert set(entry.metrics) == {"class_accuracy_guidance_1"}


def test_disturbed_outcomes_are_not_the_models_figures(folder):
    settings = (Setting("heun", 18, 35), Setting("heun", 18, 35, noise=0.1))
    assert len(card.record(report(settings=settings))) == 1


def test_figures_of_the_model_stand_with_the_first_setting_or_alone():
    bits = Estimate(2.5, 2.4, 2.6, (2.5,))
    (entry,) = card.record(report(bits_per_dim=bits))
    assert set(entry["metrics"]) == {"frechet", "bits_per_dim"}
    (entry,) = card.record(report(settings=(), bits_per_dim=bits))
    assert set(entry["metrics"]) == {"bits_per_dim"}
    assert "solver" not in entry


def test_a_model_on_the_hub_has_no_folder_to_write_into():
    with pytest.raises(ZooError, match="zoo pull"):
        card.folder_to_write("hub:ada/gravity-x")


def test_a_disk_that_refuses_leaves_config_and_card_as_they_were(folder, monkeypatch):
    def full(config):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(card, "dump_config", full)
    with pytest.raises(ZooError, match=r"cannot write into .*: No space left"):
        card.write(folder, report(), images().network)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_is_not_there_is_an_error():
    with pytest.raises(ZooError, match="there is no folder nowhere"):
        card.folder_to_write("./nowhere")


def test_a_folder_that_refuses_is_found_out_at_once(folder, monkeypatch):
    assert card.folder_to_write(str(folder)) == folder
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ZooError, match="cannot be written into"):
        card.folder_to_write(str(folder))

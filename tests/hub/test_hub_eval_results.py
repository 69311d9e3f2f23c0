"""Every push writes the figures where the Hub's leaderboards look, and they come back the same."""

import json

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

import zoo
from zoo.folder.eval_results import EVAL_RESULTS, eval_entries
from zoo.folder.read import read_config
from zoo.folder.results import measured
from zoo.models.locate import folder_of

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_figures_of_a_push_round_trip_through_the_clients_parser(hub):
    zoo.push("gravity-digits", "ada/digits", token="hf_ada")
    written = hub.store.repositories["ada/digits"].files[EVAL_RESULTS].content
    found = parse_eval_result_entries(yaml.safe_load(written))
    config = read_config(folder_of("gravity-digits"))
    training = config.training.replace(evaluation=measured(config))
    assert found == eval_entries(training)
    first = next(entry for entry in found if entry.task_id == "frechet/pixels")
    value, low, high = training.evaluation[0].metrics["frechet"]
    noted = json.loads(first.notes)
    assert (first.dataset_id, first.value, noted["interval_95"]) == ("digits", value, [low, high])
    assert (noted["samples"], noted["features"], noted["split"]) == (2000, "pixels", "test")
    assert noted["shape"] == [1, 8, 8]
    again = hub.store.repositories["ada/digits"].refs["main"]
    zoo.push("gravity-digits", "ada/digits", token="hf_ada")
    assert hub.store.repositories["ada/digits"].refs["main"] == again


def test_a_model_without_figures_writes_none_and_takes_away_those_of_before(hub, saved):
    zoo.push("gravity-digits", "ada/digits", token="hf_ada")
    zoo.push(saved, "ada/digits", token="hf_ada")
    assert EVAL_RESULTS not in hub.store.repositories["ada/digits"].files

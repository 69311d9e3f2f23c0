"""The commands that cards and `zoo show` print load the model that they speak of."""

import re
import shlex

import pytest
from common import refused, run_zoo
from forked import run, zoo_command
from tiny_recipe import RECIPE

import zoo
from zoo.folder.card_edit import loaded_as
from zoo.folder.read import read_card


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run "my run" of a recipe called as a model of the zoo, without a license."""
    place = tmp_path_factory.mktemp("place")
    text = RECIPE.replace('license = "cc0-1.0"\n', "").replace('"tiny"', '"gravity-digits"')
    (place / "other.toml").write_text(text)
    zoo.train(str(place / "other.toml"), folder=place / "my run", progress=False)
    return place


def commands(text):
    """What a card says: the reference of zoo.load, and the arguments of the two commands."""
    loaded = re.search(r'zoo\.load\("([^"]*)"\)', text)[1]
    sampled = shlex.split(re.search(r"`zoo (sample [^`]*)`", text)[1])
    trained = shlex.split(re.search(r"`zoo (train [^`]*)`", text)[1])
    return loaded, sampled, trained


@pytest.mark.parametrize("where", [".", "./my run/model", "my run/model/"])
def test_they_work_where_they_are_read(place, monkeypatch, capsys, tmp_path, where):
    folder = place / "my run" / "model"
    if where == ".":
        monkeypatch.chdir(folder)
        text = (folder / "README.md").read_text()
        assert commands(run_zoo(capsys, "show", ".")[1]) == commands(text)
    else:
        monkeypatch.chdir(place)
        text = run_zoo(capsys, "show", f"./{where}".replace("././", "./"))[1]
    loaded, sampled, trained = commands(text)
    assert zoo.load(loaded).config == zoo.load(folder).config
    out = tmp_path / "grid.png"
    assert run_zoo(capsys, *sampled[:2], "-n", "2", "-o", str(out))[0] == 0
    assert run_zoo(capsys, *trained, "--dry-run")[0] == 0


def test_a_model_of_the_zoo_keeps_its_name_and_a_copy_of_it_has_none(capsys, tmp_path, monkeypatch):
    text = run_zoo(capsys, "show", "gravity-digits")[1]
    assert 'zoo.load("gravity-digits")' in text
    monkeypatch.chdir(tmp_path)
    zoo.load("gravity-digits").save_pretrained("copy")
    text = run_zoo(capsys, "show", "./copy")[1]
    assert 'zoo.load("./copy")' in text
    assert "`zoo sample ./copy " in text


def test_the_recipe_in_a_model_by_name_is_had_by_a_command_too(place):
    card = loaded_as(read_card(place / "my run" / "model"), "ada/tiny")
    assert '`zoo train "$(zoo pull ada/tiny)/config.json"` repeats it' in card
    assert loaded_as(loaded_as(card, "./a b"), "ada/tiny") == card


def test_a_license_that_nobody_chose_is_not_stated(place, capsys):
    card = read_card(place / "my run" / "model")
    assert card.startswith("---\nlicense: unknown\n")
    assert "Weights: not stated. Ask " in card
    assert "apache" not in card
    done = run(zoo_command, "train", place / "other.toml", "-o", place / "again")
    assert done.returncode == 0
    assert "zoo: the recipe states no license for the weights; write one, such as" in done.stderr


def test_who_publishes_without_a_license_is_asked(place, capsys, monkeypatch):
    pushed = []
    monkeypatch.setattr("zoo.models.push.push", lambda *args, **_: pushed.append(args) or "url")
    folder = place / "my run" / "model"
    status, out, err = run_zoo(capsys, "push", str(folder), "ada/tiny")
    assert (status, out, len(pushed)) == (0, "url\n", 1)
    assert "states no license for its weights" in err
    assert f"write `license: ...` at the top of {folder / 'README.md'}" in err
    assert run_zoo(capsys, "push", "gravity-digits", "ada/tiny")[2] == ""
    wrong = refused(run_zoo(capsys, "push", str(folder), "./dst"), 1)
    assert wrong == "zoo: './dst' is not a repository; expected owner/name\n"

"""Names: which models are at hand, and which folder stands behind each."""

import shutil

import pytest
from fake_distributions import install_model

import zoo
from zoo.models import names
from zoo.models.names import UnknownModel, entries, find_model, list_models


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The package's own model folders: none, and a place for them."""
    folder = tmp_path / "model_cards"
    folder.mkdir()
    monkeypatch.setattr(names, "own_folders", lambda: folder)
    return folder


def add(own, site, name, **config):
    """Put a folder among the package's own."""
    brought = install_model(site / "elsewhere", f"zoo-{name}", name, **config)
    return shutil.copytree(brought, own / name)


def test_own_and_brought_models_are_listed_sorted(own, site):
    add(own, site, "gravity-b")
    add(own, site, "gaussian-a")
    install_model(site, "zoo-sea", "gravity-a")
    assert list_models() == ["gaussian-a", "gravity-a", "gravity-b"]
    assert list_models("gravity-*") == ["gravity-a", "gravity-b"]
    assert list_models("nothing") == []
    assert zoo.list_models("gauss*") == ["gaussian-a"]
    assert find_model("gravity-a").source == "sea"
    assert find_model("fieldzoo:gravity-b").folder == own / "gravity-b"


def test_there_may_be_none_at_all(own, site):
    own.rmdir()
    assert list_models() == []
    with pytest.raises(UnknownModel, match="no model 'gravity'; there is none"):
        find_model("gravity")


def test_only_model_folders_count(own, site):
    (own / "notes").mkdir()
    (own / "file").write_text("")
    shutil.copytree(add(own, site, "a"), own / ".a.123.part")
    assert list_models() == ["a"]


def test_a_name_brought_twice_belongs_to_neither(own, site):
    add(own, site, "gravity-a")
    install_model(site, "zoo-sea", "gravity-a")
    assert list_models() == ["fieldzoo:gravity-a", "sea:gravity-a"]
    with pytest.raises(zoo.ZooError, match="say fieldzoo:gravity-a or sea:gravity-a"):
        find_model("gravity-a")
    assert find_model("sea:gravity-a").source == "sea"


def test_an_unknown_name_is_an_error_with_the_closest(own, site):
    add(own, site, "gravity-digits")
    with pytest.raises(UnknownModel, match="no model 'gravty-digits'; did you mean 'gravity-d"):
        find_model("gravty-digits")
    with pytest.raises(UnknownModel, match="no model 'sea:gravity-digits'"):
        find_model("sea:gravity-digits")


def test_a_name_that_is_a_model_folder_here_too_is_refused(own, site, tmp_path, monkeypatch):
    """A run's own folder is never mistaken for the model that it is called after."""
    add(own, site, "gravity-a")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "gravity-a").mkdir()
    assert find_model("gravity-a").folder == own / "gravity-a"
    for name in ("gravity-a", "gravity-b"):
        shutil.copytree(own / "gravity-a", here / name, dirs_exist_ok=True)
    with pytest.raises(zoo.ZooError, match=r"say fieldzoo:gravity-a or \./gravity-a$"):
        find_model("gravity-a")
    assert find_model("fieldzoo:gravity-a").folder == own / "gravity-a"
    with pytest.raises(zoo.ZooError, match=r"no model 'gravity-b' at hand.* say \./gravity-b$"):
        find_model("gravity-b")
    monkeypatch.chdir(own)
    assert find_model("gravity-a").folder == own / "gravity-a"


def test_what_is_malformed_or_missing_is_data_about_that_model(own, site):
    (add(own, site, "broken") / "config.json").write_text("{")
    add(own, site, "odd", requires=["no requirement"])
    add(own, site, "sea", requires=["zoo-sea>=2", "fieldzoo"])
    found = {entry.name: entry for entry in entries()}
    assert found["broken"].config is None
    assert "config.json" in found["broken"].error
    assert "not a requirement" in found["odd"].error
    assert found["sea"].error is None
    assert found["sea"].needs == ("zoo-sea>=2",)


def test_the_models_of_this_checkout_are_sound():
    for entry in entries():
        assert entry.error is None
        assert entry.needs == ()

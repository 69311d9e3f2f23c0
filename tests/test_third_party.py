"""Third parties' packages, built and installed by pip beside the built wheel of fieldzoo.

zoo-yukawa brings a kernel, its prior and a model; zoo-mixer a network, and a model whose weights
are on the Hub.
"""

import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from environments import ROOT, Environment, build_wheel

import zoo

EXAMPLE, MIXER = ROOT / "docs" / "example-plugin", ROOT / "docs" / "example-network"
MODEL, DIGITS = "yukawa-two-moons", "mixer-digits"
REPO = f"fieldzoo/{DIGITS}"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory, fieldzoo_wheel):
    folder = tmp_path_factory.mktemp("wheels")
    return [fieldzoo_wheel, *(build_wheel(p, folder / p.name) for p in (EXAMPLE, MIXER))]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, wheels):
    """fieldzoo and the package that brings a kernel."""
    return Environment(tmp_path_factory.mktemp("fresh"), *wheels[:2])


def test_the_wheel_holds_host_plugins_recipes_and_models(wheels):
    names = set(zipfile.ZipFile(wheels[0]).namelist())
    assert {"zoo/hookspecs.py", "zoo/py.typed"} <= names
    for plugin in (ROOT / "plugins").glob("*/__init__.py"):
        assert f"{plugin.parent.name}/__init__.py" in names
    for file in (ROOT / "zoo" / "recipes").glob("*.toml"):
        assert f"zoo/recipes/{file.name}" in names
    for file in (ROOT / "model_cards").glob("*/*"):
        assert f"zoo/model_cards/{file.parent.name}/{file.name}" in names
    template = ROOT / "zoo" / "scaffold" / "template"
    assert "zoo/scaffold/template/gitignore" in names
    for file in (*template.glob("*.toml"), *template.glob("*.md"), *template.rglob("*.py")):
        assert f"zoo/scaffold/template/{file.relative_to(template)}" in names


def test_the_example_is_under_forty_lines():
    files = sorted((EXAMPLE / "src").rglob("*.py"))
    assert files
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) < 40


def test_the_wheels_are_what_runs(fresh):
    modules = "zoo, zoo_gravity, zoo_yukawa"
    code = f"import {modules}\nprint(*(m.__file__ for m in ({modules})), sep='\\n')"
    lines = fresh("python", "-c", code).splitlines()
    assert len(lines) == 3
    for line in lines:
        assert Path(line).resolve().is_relative_to(fresh.folder.resolve())


def test_the_example_shows_up(fresh):
    plugins = {p["name"]: p for p in json.loads(fresh("zoo", "plugins", "--json"))}
    assert plugins["yukawa"]["distribution"] == "zoo-yukawa"
    assert plugins["gravity"]["version"] == zoo.__version__
    assert [name for name, plugin in plugins.items() if plugin["error"]] == []
    assert "yukawa" in fresh("zoo", "components", "kernels")
    assert "yukawa" in fresh("zoo", "components", "priors")
    (model,) = json.loads(fresh("zoo", "list", MODEL, "--json"))
    assert (model["source"], model["kernel"], model["needs"]) == ("yukawa", "yukawa", [])
    assert "Two moons" in fresh("zoo", "show", MODEL)


def test_the_models_of_the_wheel_are_listed(fresh):
    names = {model["name"] for model in json.loads(fresh("zoo", "list", "--json"))}
    assert names == {MODEL} | {f.parent.name for f in (ROOT / "model_cards").glob("*/config.json")}


def test_the_example_samples_and_its_samples_lie_on_the_moons(fresh):
    """Half of 1000 samples on each half circle of radius 0.7, within a few widths of the noise."""
    fresh("zoo", "sample", MODEL, "-n", "1000", "--seed", "0", "-o", "moons.npz")
    x = np.load(fresh.work / "moons.npz")["samples"] / 0.7
    assert x.shape == (1000, 2)
    centre = np.array([0.5, 0.25])

    def near(arc, side):
        on_circle = np.abs(np.linalg.norm(arc, axis=1) - 1) < 0.25
        return on_circle & (side * arc[:, 1] > -0.25)

    one, two = near(x + centre, 1), near(x - centre, -1)
    assert (one | two).mean() > 0.95
    assert 0.4 < one.mean() < 0.6
    assert 0.4 < two.mean() < 0.6


def test_the_example_keeps_what_its_components_promise(fresh):
    told = fresh("zoo", "check", "yukawa", "-k", "*-d2").splitlines()
    assert "yukawa-divergence-d2" in " ".join(told)
    assert told[-1] == "yukawa: 23 of 23 checks pass"


def hub_with_weights(hub):
    """The repository that zoo-mixer's config.json points at."""
    commit = hub.store.add_folder(REPO, MIXER / "hub" / DIGITS)
    hub.store.repositories[REPO].refs["v0.1.0"] = commit.oid


def test_the_mixers_package_has_no_weights_but_knows_them(wheels):
    names = zipfile.ZipFile(wheels[2]).namelist()
    assert [name for name in names if name.endswith(".safetensors")] == []
    config = json.loads((MIXER / "src/zoo_mixer/models" / DIGITS / "config.json").read_text())
    held = json.loads((MIXER / "hub" / DIGITS / "config.json").read_text())
    weights = config.pop("weights")
    assert (weights.pop("repo"), weights.pop("revision")) == (REPO, "v0.1.0")
    assert (config, weights) == (config, held.pop("weights"))
    assert config == held


def test_from_a_model_that_needs_a_package_to_its_samples(tmp_path, wheels, hub):
    """Listed and told; installed as told; its weights fetched; the samples those of the Hub's."""
    hub_with_weights(hub)
    bare = Environment(tmp_path, wheels[0])
    bare.asks(hub)
    folder = MIXER / "src/zoo_mixer/models" / DIGITS
    here = shutil.copytree(folder, bare.packages / "zoo" / "model_cards" / DIGITS)
    (model,) = json.loads(bare("zoo", "list", DIGITS, "--json"))
    assert (model["network"], model["needs"]) == ("mixer", ["zoo-mixer>=0.1.0"])
    assert "needs zoo-mixer>=0.1.0" in bare("zoo", "list", DIGITS)
    for command in (("sample", DIGITS, "-o", "digits.png"), ("pull", REPO)):
        told = bare.fails("zoo", *command)
        assert "needs zoo-mixer>=0.1.0: pip install 'zoo-mixer>=0.1.0'" in told
    assert hub.asked("GET", "model.safetensors") == []
    shutil.rmtree(here)
    (requirement,) = re.findall(r"pip install '(.+)'", told)
    bare("pip", "install", "--find-links", str(wheels[2].parent), requirement)
    (model,) = json.loads(bare("zoo", "list", DIGITS, "--json"))
    assert (model["source"], model["needs"]) == ("mixer", [])
    drawn = []
    for ref in (DIGITS, REPO):
        bare("zoo", "sample", ref, "-n", "4", "--seed", "0", "-o", "digits.npz")
        drawn.append(np.load(bare.work / "digits.npz")["samples"])
    assert drawn[0].shape == (4, 1, 8, 8)
    assert 0.5 < np.abs(drawn[0]).mean() < 0.95  # black and white, mostly
    assert np.array_equal(*drawn)
    assert len(hub.asked("GET", "model.safetensors")) == 1

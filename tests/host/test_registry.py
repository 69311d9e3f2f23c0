"""Short names where they are unique, plugin:name always, and errors that say what to do."""

import pytest
from fake_distributions import brings, install

import zoo
from zoo.host.registry import catalogue, find, model_folders

KINDS = ("kernels", "priors", "networks", "solvers", "formats", "posteriors")


@pytest.mark.parametrize("kind", KINDS)
def test_components_are_listed_by_short_name_and_sorted(kind):
    names = zoo.components(kind)
    assert names == sorted(names)
    assert names
    assert not any(":" in name for name in names)


def test_the_names_that_are_promised_are_there():
    assert {"gravity", "gaussian"} <= set(zoo.components("kernels"))
    assert {"gravity", "gaussian"} <= set(zoo.components("priors"))
    assert {"unet", "mlp", "dit"} <= set(zoo.components("networks"))
    assert {"euler", "heun", "dopri5"} <= set(zoo.components("solvers"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_listed_name_is_found_and_so_is_its_qualified_form(kind):
    for name, listed in catalogue(kind).items():
        assert find(kind, name) == find(kind, listed.qualified) == listed


@pytest.mark.parametrize("kind", ["kernel", "Kernels", "", 3, None])
def test_an_unknown_kind_is_refused_with_the_kinds_there_are(kind):
    with pytest.raises(zoo.ZooError, match=r"no kind of component .*kernels"):
        zoo.components(kind)


def test_an_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(zoo.ZooError, match=r"^no kernel 'gravty'; did you mean 'gravity'\?$"):
        find("kernels", "gravty")
    with pytest.raises(zoo.ZooError, match=r"no solver 'qqq'; there are .*heun"):
        find("solvers", "qqq")
    with pytest.raises(zoo.ZooError, match=r"no plugin 'gravty'; did you mean 'gravity'\?"):
        find("kernels", "gravty:gravity")
    with pytest.raises(
        zoo.ZooError, match=r"plugin 'gravity' has no kernel 'x'; there are gravity"
    ):
        find("kernels", "gravity:x")
    with pytest.raises(zoo.ZooError, match="kernel = None; expected a name"):
        find("kernels", None)


def test_with_no_plugins_there_is_nothing_and_that_is_what_errors_say(monkeypatch):
    monkeypatch.setenv("ZOO_PLUGINS", "")
    assert [zoo.components(kind) for kind in KINDS] == [[]] * len(KINDS)
    with pytest.raises(
        zoo.ZooError, match=r"no kernel 'gravity'; there is none \(ZOO_PLUGINS is ''\)"
    ):
        find("kernels", "gravity")


@pytest.fixture
def clash(site):
    install(site, "zoo-east", "1.2", source=brings("zoo_field_kernels", "wind", "zoo_east.k:K"))
    install(site, "zoo-west", "3.4", source=brings("zoo_field_kernels", "wind", "zoo_west.k:K"))
    return site


def test_a_clash_takes_the_short_name_from_both(clash):
    names = zoo.components("kernels")
    assert {"east:wind", "west:wind"} <= set(names)
    assert "wind" not in names
    with pytest.raises(zoo.ZooError) as raised:
        find("kernels", "wind")
    for part in ("zoo-east 1.2", "zoo-west 3.4", "'east:wind'", "'west:wind'"):
        assert part in str(raised.value)
    assert find("kernels", "east:wind").component.target == "zoo_east.k:K"
    assert find("kernels", "west:wind").plugin.distribution == "zoo-west"


def test_a_third_party_cannot_take_a_first_party_name_over(site):
    install(site, "zoo-aaa", source=brings("zoo_field_kernels", "gravity", "zoo_aaa:K"))
    with pytest.raises(zoo.ZooError, match="'aaa:gravity' or 'gravity:gravity'"):
        find("kernels", "gravity")
    assert find("kernels", "gravity:gravity").component.target == "zoo_gravity.kernel:GravityKernel"
    assert find("priors", "gravity").plugin.distribution == "fieldzoo"  # no clash in other kinds


def test_a_broken_plugin_is_mentioned_where_a_name_is_missing(site):
    install(site, "zoo-storm", "0.7", source="raise OSError('no rain')")
    with pytest.raises(zoo.ZooError, match=r"plugin storm is broken: `zoo plugins` says why"):
        find("kernels", "lightning")
    assert find("kernels", "gravity").component.name == "gravity"


def test_asking_a_broken_plugin_raises_its_cause(site):
    install(site, "zoo-storm", "0.7", source="raise OSError('no rain')")
    with pytest.raises(
        zoo.PluginError, match=r"'storm:lightning'.*zoo-storm 0.7.*no rain"
    ) as error:
        find("kernels", "storm:lightning")
    assert isinstance(error.value.__cause__, OSError)


def test_model_folders_come_with_the_plugin_that_brings_them(site):
    source = "from pathlib import Path\n@hookimpl\ndef zoo_models():\n"
    source += "    yield Path(__file__).parent / 'wind-digits'\n"
    install(site, "zoo-east", source=source)
    found = [(plugin.name, folder.name) for plugin, folder in model_folders()]
    assert ("east", "wind-digits") in found

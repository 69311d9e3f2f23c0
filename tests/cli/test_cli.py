"""The `zoo` command: what it prints, and how it fails."""

import json
import subprocess
import sys
import tempfile
from functools import partial

import pytest
from common import refused, run_zoo
from fake_distributions import brings, install, install_model, run_python

import zoo
from zoo.cli import COMMANDS, main
from zoo.cli.output import stem


@pytest.fixture
def run(capsys):
    """Run a command line in this process; return (exit status, stdout, stderr)."""
    return partial(run_zoo, capsys)


@pytest.fixture
def wind(site):
    """A plugin with one model folder."""
    return install_model(site, "zoo-wind", "gravity-wind")


@pytest.mark.parametrize("how", [("-m", "zoo"), ("-c", "from zoo.cli import main; main()")])
def test_the_version(how):
    done = run_python(*how, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fieldzoo {zoo.__version__}\n", "")


def test_help_names_every_command_with_one_line(run):
    status, out, _ = run("--help")
    assert status == 0
    for name, line in COMMANDS.items():
        assert f"  {name}" in out
        assert line in out


def test_zoo_alone_shows_the_help_and_is_wrong_usage(run):
    status, _, err = run()
    assert status == 2
    assert "Commands:" in err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run, name):
    status, out, err = run(name, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: zoo {name}")
    assert "--debug" in out


# listing


def test_list_shows_name_kernel_shape_source_and_what_is_missing(run, site, wind):
    install_model(site, "zoo-sea", "storm-sea", requires=["zoo-storm>=2"])
    status, out, err = run("list")
    assert (status, err) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines()}
    header, *names = rows
    assert header == "name"
    assert names == sorted(names)
    assert rows["gravity-wind"].split() == ["gravity-wind", "gravity", "1x8x8", "-", "wind"]
    assert "needs zoo-storm>=2" in rows["storm-sea"]


def test_list_takes_a_pattern(run, wind):
    status, out, _ = run("list", "*-wi?d")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["name", "gravity-wind"]
    assert "no model matches 'gravity-winf'; did you mean 'gravity-wind'" in refused(
        run("list", "gravity-winf"), 1
    )


def test_list_in_json(run, wind):
    status, out, _ = run("list", "gravity-wind", "--json")
    assert status == 0
    (model,) = json.loads(out)
    assert model["name"] == "gravity-wind"
    assert model["kernel"] == "gravity"
    assert model["network"] == "unet"
    assert model["shape"] == [1, 8, 8]
    assert model["source"] == "wind"
    assert (model["needs"], model["error"]) == ([], None)
    assert json.loads(run("list", "nothing-like-it", "--json")[1]) == []


def test_list_gives_the_size_of_the_weights(run, site):
    file = {"size": 2_620_000, "sha256": "0" * 64}
    install_model(site, "zoo-wind", "gravity-wind", weights={"files": {"a.safetensors": file}})
    assert "2.6 MB" in run("list", "gravity-wind")[1]
    assert json.loads(run("list", "gravity-wind", "--json")[1])[0]["size"] == 2_620_000


def test_a_malformed_model_is_listed_with_its_cause_and_the_others_stay(run, site, wind):
    bad = install_model(site, "zoo-bad", "gravity-bad")
    (bad / "config.json").write_text('{"format": 1, "kernl": {}}')
    install_model(site, "zoo-worse", "gravity-worse", requires=["no requirement"])
    install(
        site,
        "zoo-worst",
        source="""
        from pathlib import Path
        @hookimpl
        def zoo_models(): return [Path(__file__).parent / "gravity-gone"]
    """,
    )
    status, out, _ = run("list", "gravity-*")
    assert status == 0
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert "gravity-wind" in rows
    assert "broken: " in rows["gravity-bad"]
    assert "kernl" in rows["gravity-bad"]
    assert "'no requirement'" in rows["gravity-worse"]
    assert "no config.json" in rows["gravity-gone"]
    assert "gravity-bad" in refused(run("show", "gravity-bad"), 1)
    status, out, _ = run("plugins")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert status == 0
    assert "broken: model gravity-bad: " in rows["bad"]
    assert "kernl" in rows["bad"]
    assert "no config.json" in rows["worst"]
    assert rows["wind"].endswith("ok")


def test_two_plugins_with_one_model_name_are_listed_by_plugin(run, site, wind):
    install_model(site, "zoo-gale", "gravity-wind")
    names = [line.split()[0] for line in run("list")[1].splitlines()]
    assert {"gale:gravity-wind", "wind:gravity-wind"} <= set(names)
    assert "gravity-wind" not in names
    assert "gale:gravity-wind" in refused(run("show", "gravity-wind"), 1)
    assert run("show", "gale:gravity-wind")[0] == 0


def test_listings_say_that_a_plugin_is_broken(run, site):
    install(site, "zoo-storm", source="raise OSError")
    for command in ("list", "components"):
        status, _, err = run(command)
        assert status == 0
        assert err == "zoo: broken: storm; `zoo plugins` says why\n"
        assert json.loads(run(command, "--json")[1]) is not None
        assert run(command, "--json")[2] == ""


def test_show_tells_parts_options_training_and_card(run, wind):
    status, out, err = run("show", "gravity-wind")
    assert (status, err) == (0, "")
    for words in ("gravity  t_max=40.0", "unet  width=8", "heun  steps=18", "digits (1, 8, 8)"):
        assert words in out
    for words in ("10 labels", "500000", "fieldzoo>=0.1", "# gravity-wind", "What it is."):
        assert words in out
    assert "license: cc0" not in out  # the front matter is for the Hub


def test_show_in_json_is_config_and_card(run, wind):
    model = json.loads(run("show", "gravity-wind", "--json")[1])
    assert model["config"]["kernel"] == {"use": "gravity", "t_max": 40.0}
    assert model["config"]["format"] == 1
    assert model["card"] == (wind / "README.md").read_text()
    assert model["folder"] == str(wind)


def test_show_says_what_to_install(run, site):
    install_model(site, "zoo-sea", "storm-sea", requires=["zoo-storm>=2"])
    assert "pip install 'zoo-storm>=2'" in run("show", "storm-sea")[1]


def test_show_takes_a_folder(run, wind, monkeypatch):
    monkeypatch.chdir(wind.parent)
    assert "unet" in run("show", "./gravity-wind")[1]
    assert "unet" in run("show", str(wind))[1]
    assert "not a model folder" in refused(run("show", "./nowhere"), 1)


def test_show_says_how_to_get_the_folder_that_it_takes(run, tmp_path, monkeypatch):
    assert "`zoo pull ada/tiny@v1` prints" in refused(run("show", "ada/tiny@v1"), 1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my ddpm").mkdir()
    (tmp_path / "my ddpm" / "model_index.json").write_text("{}")
    assert "`zoo pull './my ddpm'` prints" in refused(run("show", "./my ddpm"), 1)


def test_plugins_names_distribution_version_and_what_each_brings(run, wind):
    status, out, err = run("plugins")
    assert (status, err) == (0, "")
    rows = {line.split()[0]: line.split() for line in out.splitlines()}
    assert rows["gravity"][:3] == ["gravity", "fieldzoo", zoo.__version__]
    assert rows["gravity"][-1] == "ok"
    assert rows["wind"] == ["wind", "zoo-wind", "1.0", "1", "model", "ok"]


def test_plugins_in_json(run, wind):
    records = {r["name"]: r for r in json.loads(run("plugins", "--json")[1])}
    assert records["wind"]["models"] == ["gravity-wind"]
    assert records["gravity"]["components"]["priors"][0] == "gravity"
    assert records["gravity"]["error"] is None


def test_the_cause_of_a_broken_plugin_is_shown_whole(run, site):
    cause = "a very long reason " * 30
    install(site, "zoo-storm", "0.9", source=f"raise OSError({cause!r} '\\nand a line more')")
    status, out, _ = run("plugins")
    assert status == 0
    (row,) = [line for line in out.splitlines() if line.startswith("storm")]
    assert "zoo-storm" in row
    assert "0.9" in row
    assert row.endswith(f"broken: OSError: {cause}and a line more (zoo_storm/__init__.py:2)")


def test_components_lists_one_kind_or_all(run, site):
    install(site, "zoo-wind", "3.1", source=brings("zoo_field_kernels", "wind"))
    status, out, err = run("components", "kernels")
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert ["kernels", "wind", "wind", "zoo-wind", "3.1"] in rows
    assert {row[0] for row in rows} == {"kind", "kernels"}
    kinds = {line.split()[0] for line in run("components")[1].splitlines()}
    assert kinds == {"kind", "kernels", "priors", "networks", "solvers", "formats", "posteriors"}
    found = json.loads(run("components", "kernels", "--json")[1])
    assert {"wind", "gravity", "gaussian"} <= {c["name"] for c in found}


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("kernels", "pfgmpp", {"D": {"default": 128.0}, "t_min": {"default": None}}),
        ("kernels", "psi", {"psi": {"required": True}}),
        ("priors", "gravity", {"largest_level": {"default": None}}),
        ("networks", "unet", {"multipliers": {"default": [1, 2]}, "patch": {"default": 1}}),
        ("formats", "songunet", {"D": {"default": None}, "side": {"default": None}}),
        ("solvers", "exp-abm3", {"grid": {"default": "focus"}, "scale": {"default": None}}),
    ],
)
def test_the_options_of_a_component_are_told(run, kind, name, options):
    status, out, err = run("components", kind, name)
    assert (status, err) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    told = json.loads(run("components", kind, name, "--json")[1])
    for option, value in options.items():
        assert told["options"][option] == value
        assert ("(required)" in rows[option]) == ("required" in value)
        assert f"{option}:" in out.replace(", ", ":")  # the docstring explains it
    assert {"dim", "kernel", "shape"}.isdisjoint(told["options"])
    assert told["docstring"] in out


def test_options_of_any_name_are_told_and_a_component_without_options_says_so(run, site):
    install(site, "zoo-wind", "3.1", source=brings("zoo_solvers", "wind", "builtins:object"))
    assert "others by name" in run("components", "kernels", "psi")[1]
    assert "it takes no options" in run("components", "solvers", "wind")[1]


# failing


def test_wrong_usage_is_one_line_and_status_2(run):
    assert "no command 'lst'; did you mean 'list'?" in refused(run("lst"), 2)
    assert "--jsn" in refused(run("list", "--jsn"), 2)
    assert "`zoo show --help`" in refused(run("show"), 2)
    assert "--nothing" in refused(run("--nothing"), 2)
    refused(run("plugins", "too", "many"), 2)


def test_a_failure_is_one_line_and_status_1(run):
    assert "did you mean 'kernels'?" in refused(run("components", "kernel"), 1)
    assert "did you mean 'kernels'?" in refused(run("components", "kernel", "gravity"), 1)
    assert "did you mean 'gravity'?" in refused(run("components", "kernels", "graviti"), 1)
    assert "no model 'gravity-mist'" in refused(run("show", "gravity-mist"), 1)
    assert "Hub" in refused(run("show", "somebody/gravity-mist"), 1)
    assert "not a model reference" in refused(run("show", "no such name"), 1)


def raising(error):
    def fail():
        raise error

    return fail


def test_an_unforeseen_error_is_one_line_too(run, monkeypatch):
    monkeypatch.setattr("zoo.cli.plugins.plugins", raising(RuntimeError("odd\n  thing")))
    line = refused(run("plugins"), 1)
    assert line.startswith("zoo: internal error: RuntimeError: odd thing (")
    assert "--debug" in line


def test_a_machine_without_a_temporary_folder_is_told_in_one_line(run, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/none"])
    monkeypatch.setattr("zoo.cli.plugins.plugins", tempfile.gettempdir)
    line = refused(run("plugins"), 1)
    assert line == "zoo: there is no temporary folder to write into; set TMPDIR to one\n"


@pytest.mark.parametrize("args", [("--debug", "plugins"), ("plugins", "--debug")])
@pytest.mark.parametrize("error", [RuntimeError("odd"), zoo.ZooError("known")])
def test_debug_lets_the_traceback_through(monkeypatch, args, error):
    monkeypatch.setattr("zoo.cli.plugins.plugins", raising(error))
    with pytest.raises(type(error), match=str(error)):
        main([*args])


def test_an_interrupt_is_status_130_without_a_traceback(run, monkeypatch):
    monkeypatch.setattr("zoo.cli.plugins.plugins", raising(KeyboardInterrupt()))
    status, out, err = run("plugins")
    assert (status, out) == (130, "")
    assert err.strip() == ""


def test_a_reader_that_goes_away_is_no_error_to_tell():
    command = [sys.executable, "-m", "zoo", "components"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_no_plugins_at_all_is_fine(run, monkeypatch):
    monkeypatch.setenv("ZOO_PLUGINS", "")
    for command in ("list", "plugins", "components"):
        status, _, err = run(command)
        assert (status, err) == (0, "")


def test_what_a_plugin_prints_is_kept_from_the_readers_of_json(run, site):
    install(site, "zoo-wind", "3.1", source='print("hello")')
    status, out, err = run("plugins", "--json")
    assert (status, "hello" in err) == (0, True)
    assert "wind" in {plugin["name"] for plugin in json.loads(out)}


@pytest.mark.parametrize(
    ("ref", "expected"),
    [("./runs/tiny/model", "tiny"), ("./model", "model"), ("a/b@c", "b@c"), ("gravity", "gravity")],
)
def test_files_about_a_run_are_called_like_the_run(ref, expected):
    assert stem(ref) == expected


def test_the_columns_of_a_list_are_explained_to_people(run, wind, monkeypatch):
    assert "the shape of a sample" not in run("list")[1]
    monkeypatch.setattr(sys.stdout.__class__, "isatty", lambda _: True, raising=False)
    assert "size: of the weights, - where the Hub has them" in run("list")[1]


def test_as_an_extension_of_hf_the_help_has_that_name(command, monkeypatch):
    assert command("list", "--help")[1].startswith("Usage: zoo list")
    monkeypatch.setattr("sys.argv", ["/usr/bin/hf-zoo"])
    assert command("list", "--help")[1].startswith("Usage: hf-zoo list")


def test_an_error_in_a_plugin_is_told_with_its_place(run, site, saved_images, tmp_path):
    code = """
    from zoo_solvers.runge_kutta import Euler

    class Late(Euler):
        def step(self, flow, x, t, t_next):
            raise RuntimeError("late")
    """
    source = brings("zoo_solvers", "late", "zoo_late.solver:Late")
    install(site, "zoo-late", source=source, files={"solver.py": code})
    out = str(tmp_path / "x.npz")
    line = refused(run("sample", str(saved_images), "-n", "1", "--solver", "late", "-o", out), 1)
    assert line.startswith("zoo: internal error: RuntimeError: late (zoo_late/solver.py:6) (")

"""`zoo new-plugin`: what it writes passes its own tests and ruff at once; what it refuses."""

import itertools
import json
import subprocess
import sys
import tomllib

import pytest
from environments import Environment

from zoo.cli import main
from zoo.errors import ZooError
from zoo.scaffold import PARTS, write_plugin

NAMES = ["a", "yukawa2", "twenty-four-signs-and-ok"]


def run(*args):
    with pytest.raises(SystemExit) as stopped:
        main(["new-plugin", *args])
    return stopped.value.code


def ruff(*args, cwd):
    done = subprocess.run([sys.executable, "-m", "ruff", *args], cwd=cwd, capture_output=True)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_it_passes_its_own_tests_once_installed(tmp_path, fieldzoo_wheel):
    """With all six parts, from the wheel, in an environment of its own."""
    fresh = Environment(tmp_path, fieldzoo_wheel)
    brings = [word for part in PARTS for word in ("--brings", part)]
    told = fresh("zoo", "new-plugin", "sea-wave", *brings)
    assert "pip install -e './zoo-sea-wave[test]'" in told
    fresh("pip", "install", "-e", "./zoo-sea-wave[test]")
    listed = json.loads(fresh("zoo", "components", "--json"))
    own = {(c["kind"], c["name"]) for c in listed if c["plugin"] == "sea-wave"}
    assert own == {(kind, "sea-wave") for kind in PARTS.values()}
    done = fresh("python", "-m", "pytest", "-q", "zoo-sea-wave")
    assert "65 passed" in done


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("brings", [(part,) for part in PARTS] + [tuple(PARTS)], ids="+".join)
def test_ruff_has_nothing_to_say(tmp_path, name, brings):
    write_plugin(name, brings=brings, folder=tmp_path)
    ruff("check", "--isolated", "--line-length=100", ".", cwd=tmp_path)
    ruff("check", ".", cwd=tmp_path)
    ruff("format", "--check", ".", cwd=tmp_path)


SUBSETS = [s for n in (1, 2, 3, 4, 5) for s in itertools.combinations(PARTS, n)]


@pytest.mark.parametrize("brings", SUBSETS, ids="+".join)
def test_only_what_was_asked_for_is_written(tmp_path, brings):
    folder = write_plugin("sea-wave", brings=brings, folder=tmp_path)
    expected = {*brings, *(["prior"] if "kernel" in brings else [])}
    package = folder / "src" / "zoo_sea_wave"
    assert {p.stem for p in package.iterdir()} == expected | {"__init__"}
    init = (package / "__init__.py").read_text()
    readme = (folder / "README.md").read_text()
    assert {part for part in PARTS if f"zoo_sea_wave.{part}:" in init} == expected
    assert {part for part in PARTS if f"{part}.py" in readme} == expected
    assert init.count("@hookimpl") == len(expected)
    for file in folder.rglob("*.*"):
        assert "changeme" not in str(file).lower()
        assert not file.is_file() or "changeme" not in file.read_text(encoding="utf-8").lower()


def test_what_pyproject_says(tmp_path):
    folder = write_plugin("sea-wave", license="mit", author="Ada L.", folder=tmp_path)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "zoo-sea-wave"
    assert project["entry-points"]["zoo"] == {"sea-wave": "zoo_sea_wave"}
    assert project["license"] == "MIT"
    assert project["authors"] == [{"name": "Ada L."}]
    assert project["dependencies"][0].startswith("fieldzoo>=0.")
    license = (folder / "LICENSE").read_text()
    assert "MIT License" in license
    assert "Ada L." in license
    assert "dist/" in (folder / ".gitignore").read_text()


def test_the_apache_license_is_whole(tmp_path):
    folder = write_plugin("sea-wave", folder=tmp_path)
    text = (folder / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("zoo-wave", "leave out the 'zoo-'"),
        ("Wave", "cannot name a plugin"),
        ("sea wave", "cannot name a plugin"),
        ("-wave", "cannot name a plugin"),
        ("wave-", "cannot name a plugin"),
        ("sea--wave", "cannot name a plugin"),
        ("2wave", "cannot name a plugin"),
        ("../wave", "cannot name a plugin"),
        ("wäve", "cannot name a plugin"),
        ("wave\n", "cannot name a plugin"),
        ("", "cannot name a plugin"),
        ("x" * 25, "at most 24"),
        ("gravity", "there is a plugin 'gravity' already (fieldzoo"),
        ("tanh", "there is a kernel 'tanh' already"),
    ],
)
def test_names_that_are_refused(tmp_path, name, said):
    with pytest.raises(ZooError) as caught:
        write_plugin(name, folder=tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"brings": ["kernal"]}, "no 'kernal'; did you mean 'kernel'?"),
        ({"brings": []}, "has to bring something: kernel, prior, network, solver"),
        ({"license": "gpl"}, "no license 'gpl'; there are apache-2.0 and mit"),
        ({"author": 'A "quoted" name'}, "without quotes"),
        ({"author": "two\nlines"}, "without quotes"),
    ],
)
def test_options_that_are_refused(tmp_path, options, said):
    with pytest.raises(ZooError) as caught:
        write_plugin("wave", folder=tmp_path, **options)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path, capsys):
    (tmp_path / "zoo-wave").mkdir()
    assert run("wave", "--folder", str(tmp_path)) == 1
    assert capsys.readouterr().err.endswith("is there already; choose another name or folder\n")
    assert list((tmp_path / "zoo-wave").iterdir()) == []


def test_a_disk_that_refuses_is_told_and_left_clean(tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.rename", refuse)
    with pytest.raises(ZooError, match=r"cannot write .*: Permission denied"):
        write_plugin("wave", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_on_the_command_line(tmp_path, capsys):
    assert run("wave", "--brings", "kernal") == 2
    assert run() == 2
    assert run("wave", "--folder", str(tmp_path / "nowhere")) == 2
    assert capsys.readouterr().err.count("\n") == 3

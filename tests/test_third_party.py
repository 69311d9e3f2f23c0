"""The example plugin, built and installed by pip beside the built wheel of fieldzoo.

The environment is fresh: it borrows torch and the like from the running one, but neither this
checkout nor anything editable, so the wheel has to hold all that is needed.
"""

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from fake_distributions import run_python

import zoo

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "docs" / "example-plugin"
MODEL = "yukawa-two-moons"


def build_wheel(project: Path, out: Path) -> Path:
    done = run_python(
        "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(project)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    return [build_wheel(p, folder / p.name) for p in (ROOT, EXAMPLE)]


class Environment:
    """A virtual environment, run from an empty folder."""

    def __init__(self, folder: Path, wheels: list[Path]) -> None:
        self.folder = folder / "environment"
        venv.create(self.folder, with_pip=True)
        self.bin = self.folder / ("Scripts" if sys.platform == "win32" else "bin")
        self.work = folder / "work"
        self.work.mkdir()
        pip = ("-m", "pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check")
        self("python", *pip, *map(str, wheels))
        packages = Path(
            self("python", "-c", "import site; print(site.getsitepackages()[0])").strip()
        )
        paths = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
        (packages / "borrowed.pth").write_text("\n".join(sorted(paths)) + "\n")

    def __call__(self, program: str, *args: str) -> str:
        done = subprocess.run(
            [str(self.bin / program), *args],
            cwd=self.work,
            env={"PATH": str(self.bin), "OMP_NUM_THREADS": "1", "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, wheels):
    return Environment(tmp_path_factory.mktemp("fresh"), wheels)


def test_the_wheel_holds_host_plugins_recipes_and_models(wheels):
    names = set(zipfile.ZipFile(wheels[0]).namelist())
    assert {"zoo/hookspecs.py", "zoo/py.typed"} <= names
    for plugin in (ROOT / "plugins").glob("*/__init__.py"):
        assert f"{plugin.parent.name}/__init__.py" in names
    for file in (ROOT / "zoo" / "recipes").glob("*.toml"):
        assert f"zoo/recipes/{file.name}" in names
    for file in (ROOT / "model_cards").glob("*/*"):
        assert f"zoo/model_cards/{file.parent.name}/{file.name}" in names


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


def test_the_example_samples(fresh):
    fresh("zoo", "sample", MODEL, "-n", "16", "-o", "moons.png")
    assert (fresh.work / "moons.png").read_bytes().startswith(b"\x89PNG")


def test_its_samples_lie_on_the_moons(fresh):
    """Half of 1000 samples on each half circle of radius 0.7, within a few widths of the noise."""
    code = f"""
import torch, zoo
x = zoo.load({MODEL!r}).sample(1000, seed=0) / 0.7
assert x.shape == (1000, 2)
upper = x + torch.tensor([0.5, 0.25])
lower = x - torch.tensor([0.5, 0.25])
near = lambda arc, side: ((arc.norm(dim=1) - 1).abs() < 0.25) & (side * arc[:, 1] > -0.25)
one, two = near(upper, 1), near(lower, -1)
print((one | two).float().mean().item(), one.float().mean().item(), two.float().mean().item())
"""
    both, one, two = map(float, fresh("python", "-c", code).split())
    assert both > 0.95
    assert 0.4 < one < 0.6
    assert 0.4 < two < 0.6


def test_the_example_keeps_what_its_components_promise(fresh):
    told = fresh("zoo", "check", "yukawa").splitlines()
    assert "yukawa-divergence-d3072" in " ".join(told)
    assert told[-1].startswith("yukawa: ")

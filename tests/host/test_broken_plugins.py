"""Every way in which a plugin can be broken, all installed together in one environment."""

import json

import pytest
from fake_distributions import brings, install, install_model, run_python

HALF_WAY = """
@hookimpl
def zoo_field_kernels():
    yield Component("first", "zoo_gravity.kernel:GravityKernel")
    raise RuntimeError("half way")
"""

# Plugin -> (its source, what `zoo plugins` says of it).
BROKEN = {
    "import": ("import no_such_module", "No module named 'no_such_module'"),
    "misspelt": (
        "@hookimpl\ndef zoo_solver(): return ()",
        "no hook 'zoo_solver'; did you mean 'zoo_solvers'",
    ),
    "argument": ("@hookimpl\ndef zoo_solvers(config): return ()", "{'config'}"),
    "halfway": (HALF_WAY, "RuntimeError: half way"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
}


SAVE = """
import sys, zoo
kernel = zoo.kernel("gravity", dim=64)
network = zoo.network("mlp", shape=(1, 8, 8), kernel=kernel, width=8, blocks=1)
parts = dict(kernel=kernel, prior=zoo.prior("gravity", kernel), network=network)
zoo.FieldModel(**parts, solver=zoo.solver("walk"), shape=(1, 8, 8)).save_pretrained(sys.argv[1])
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    for number, (name, (source, _)) in enumerate(BROKEN.items()):
        install(folder, f"zoo-{name}", f"0.{number}", source=source)
    for number in (1, 2):
        install(folder, f"zoo-claim{number}", f"{number}.0", entry="claimed")
    install(folder, "zoo-thief", "5.0", entry="solvers")
    install(folder, "zoo-target", "7.0", source=brings("zoo_solvers", "lost", "zoo_target.no:No"))
    install(
        folder, "zoo-good", source=brings("zoo_solvers", "walk", "zoo_solvers.runge_kutta:Euler")
    )
    place = install_model(folder, "zoo-models", "gravity-wind")
    done = run_python("-c", SAVE, str(place), path=folder)
    assert done.returncode == 0, done.stderr
    return folder


def run(site, *args):
    done = run_python("-m", "zoo", *args, path=site)
    assert "Traceback" not in done.stderr
    return done


def test_zoo_plugins_names_each_with_distribution_version_and_cause(site):
    done = run(site, "plugins")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[1]: line for line in done.stdout.splitlines()}
    for number, (name, (_, cause)) in enumerate(BROKEN.items()):
        assert rows[f"zoo-{name}"].split()[:3] == [name, f"zoo-{name}", f"0.{number}"]
        assert "broken: " in rows[f"zoo-{name}"]
        assert cause in rows[f"zoo-{name}"]
    for number in (1, 2):
        claim = rows[f"zoo-claim{number}"]
        assert claim.split()[:3] == ["claimed", f"zoo-claim{number}", f"{number}.0"]
        assert "claimed by zoo-claim1 1.0 and zoo-claim2 2.0" in claim
    assert "broken: the name 'solvers' is that of a plugin of fieldzoo" in rows["zoo-thief"]
    assert rows["zoo-target"].split()[:3] == ["target", "zoo-target", "7.0"]
    assert "broken: solver 'lost' is zoo_target.no:No, but there is no module" in rows["zoo-target"]
    assert "broken" not in rows["zoo-good"]
    assert "broken" not in rows["fieldzoo"]


def test_the_good_ones_list(site):
    solvers = json.loads(run(site, "components", "solvers", "--json").stdout)
    names = {solver["name"] for solver in solvers}
    assert {"heun", "exp-abm3"} <= names  # of the plugin whose name another one claims
    assert {"walk", "heun", "lost"} <= names
    assert "first" not in {c["name"] for c in json.loads(run(site, "components", "--json").stdout)}
    done = run(site, "list")
    assert done.returncode == 0
    assert "gravity-wind" in done.stdout
    for name in BROKEN:
        assert name in done.stderr


def test_the_good_ones_load_and_sample(site):
    code = "import zoo\nmodel = zoo.load('gravity-wind')\nx = model.sample(3, seed=0, steps=2)\n"
    done = run_python("-c", code + "assert x.isfinite().all()\nprint(tuple(x.shape))", path=site)
    assert (done.returncode, done.stdout) == (0, "(3, 1, 8, 8)\n"), done.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("zoo.solver('lost')", ["zoo-target 7.0", "zoo_target.no:No", "No module named"]),
        ("zoo.kernel('halfway:first', dim=2)", ["zoo-halfway 0.3", "half way"]),
        ("zoo.kernel('claimed:x', dim=2)", ["zoo-claim1 1.0 and zoo-claim2 2.0"]),
        ("zoo.kernel('first', dim=2)", ["halfway", "zoo plugins"]),
    ],
)
def test_who_asks_for_what_a_broken_one_brings_is_told_why(site, code, words):
    done = run_python(
        "-c", f"import zoo\ntry: {code}\nexcept zoo.ZooError as error: print(error)", path=site
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    for word in words:
        assert word in done.stdout

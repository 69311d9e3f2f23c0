"""Building by name: options are checked before the call, and errors say whose fault it is."""

import sys

import pytest
from fake_distributions import brings, install, run_python

import zoo
from zoo.interfaces import FieldKernel, Network, PriorSampler, Solver

PARTS = """
    from dataclasses import dataclass
    from zoo import ZooError
    from zoo.interfaces import FieldKernel, Solver

    class Walk(Solver):
        order = 1
        def __init__(self, grid, *, rho=7.0):
            if rho < 0:
                raise ZooError(f"rho = {rho}; expected a positive number")
            if rho == 0:
                raise SystemExit("bye")
            if rho == 2:
                raise KeyboardInterrupt
            self.grid, self.rho = grid, 1 / (rho - 1)
        def integrate(self, flow, x, t_from, t_to, *, steps, callback=None):
            return x

    class Open(Walk):
        def __init__(self, **options):
            super().__init__("open", **options)

    @dataclass(frozen=True)
    class Frozen(Open):
        order: int = 1

    class Fails(Open):
        def __init__(self):
            raise KeyError("lost")

    class Abstract(Solver):
        order = 1

    class Rude(FieldKernel):
        def __init__(self, size):
            pass

    number = 3
    make = dict
"""


@pytest.fixture
def walk(site):
    source = """
@hookimpl
def zoo_solvers():
    for name in ("Walk", "Open", "Frozen", "Abstract", "Fails", "number", "make", "Gone"):
        yield Component(name.lower(), f"zoo_walk.parts:{name}")
"""
    source += brings("zoo_field_kernels", "rude", "zoo_walk.parts:Rude")
    source += brings("zoo_prior_samplers", "exit", "zoo_walk.exits:Prior")
    source += brings("zoo_networks", "absent", "zoo_walk.no_such_module:Network")
    files = {"parts.py": PARTS, "exits.py": "raise SystemExit(1)"}
    install(site, "zoo-walk", "4.2", source=source, files=files)


def test_the_four_parts_are_built_from_their_names():
    kernel = zoo.kernel("gravity", dim=4, t_max=9.0)
    assert isinstance(kernel, FieldKernel)
    assert (kernel.dim, kernel.t_max) == (4, 9.0)
    prior = zoo.prior("gravity:gravity", kernel)
    assert isinstance(prior, PriorSampler)
    assert prior.kernel is kernel
    assert isinstance(zoo.network("mlp", shape=[4], kernel=kernel), Network)
    assert isinstance(zoo.solver("heun"), Solver)


def test_listing_and_finding_import_no_implementation(walk):
    assert {"walk", "open"} <= set(zoo.components("solvers"))
    assert "zoo_walk" in sys.modules
    assert "zoo_walk.parts" not in sys.modules
    assert zoo.solver("walk", grid="log").grid == "log"
    assert "zoo_walk.parts" in sys.modules


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: zoo.solver("walk", grid=1, roh=2), "has no option 'roh'; did you mean 'rho'"),
        (lambda: zoo.solver("walk"), "solver 'walk' needs the option 'grid'"),
        (lambda: zoo.solver("walk", grid=1, rho=-1), r"^rho = -1; expected a positive number$"),
        (lambda: zoo.solver("heum"), "no solver 'heum'; did you mean 'heun'"),
        (lambda: zoo.solver("frozen", x=1), "no option 'x'; there is order"),
        (lambda: zoo.kernel("gravity", dim=0), "dim = 0"),
    ],
)
def test_what_the_user_got_wrong_is_told_in_one_line(walk, build, message):
    with pytest.raises(zoo.ZooError, match=message) as error:
        build()
    assert not isinstance(error.value, zoo.PluginError)
    assert "\n" not in str(error.value)


def test_wrong_kernels_and_shapes_are_refused():
    kernel = zoo.kernel("gaussian", dim=12)
    with pytest.raises(zoo.ZooError, match="kernel is a str; expected a FieldKernel"):
        zoo.prior("gaussian", "gaussian")
    with pytest.raises(zoo.ZooError, match="kernel is a NoneType"):
        zoo.network("mlp", shape=(12,), kernel=None)
    for shape in ((3, 2, 3), (), (12, 0)):
        with pytest.raises(zoo.ZooError, match=r"^shape = "):
            zoo.network("mlp", shape=shape, kernel=kernel)
    for shape in (12, (12.0,), "12", (-12, -1)):
        with pytest.raises(zoo.ZooError, match=r"^shape = .*; expected whole numbers"):
            zoo.network("mlp", shape=shape, kernel=kernel)


@pytest.mark.parametrize(
    ("build", "message", "cause"),
    [
        (lambda k: zoo.solver("gone"), "cannot import zoo_walk.parts:Gone", AttributeError),
        (lambda k: zoo.network("absent", shape=(4,), kernel=k), "no_such_module", ImportError),
        (lambda k: zoo.prior("exit", k), "import zoo_walk.exits:Prior: SystemExit", SystemExit),
        (lambda k: zoo.solver("number"), "zoo_walk.parts:number cannot be called", type(None)),
        (lambda k: zoo.solver("make"), "gave a dict; expected a zoo.interfaces.S", type(None)),
        (lambda k: zoo.solver("abstract"), "abstract", TypeError),
        (lambda k: zoo.kernel("rude", dim=2), "not take what every kernel is given", TypeError),
        (lambda k: zoo.solver("walk", grid=1, rho=1), r"failed on \(grid=1, rho", ArithmeticError),
        (
            lambda k: zoo.solver("walk", grid=1, rho=0),
            r"SystemExit: bye \(zoo_walk/parts.py:\d+\)$",
            SystemExit,
        ),
        (lambda k: zoo.solver("walk", grid=1, rho=2), "raised KeyboardInterrupt", RuntimeError),
        (lambda k: zoo.solver("fails"), r"\(zoo-walk 4.2\) failed: KeyError: 'lost'", KeyError),
        (lambda k: zoo.solver("open", steps=3), r"TypeError: .*steps", TypeError),
    ],
)
def test_what_the_plugin_got_wrong_names_plugin_version_and_cause(walk, build, message, cause):
    kernel = zoo.kernel("gravity", dim=4)
    with pytest.raises(zoo.PluginError, match=message) as error:
        build(kernel)
    assert "of plugin 'walk' (zoo-walk 4.2)" in str(error.value)
    assert isinstance(error.value.__cause__, cause)
    assert "\n" not in str(error.value)
    assert zoo.solver("open", rho=3).rho == 0.5  # the rest of the plugin still works


def test_what_is_built_knows_how_it_is_written_in_a_config(walk):
    part = zoo.solver("walk", grid="log", rho=3.0).part
    assert part.encode() == {"use": "walk", "grid": "log", "rho": 3.0}
    assert zoo.solver("frozen").part.encode() == {"use": "frozen"}


def test_options_reach_the_constructor_as_they_are(walk):
    solver = zoo.solver("walk:walk", grid=[1, 2], rho=3.0)
    assert (solver.grid, solver.rho) == ([1, 2], 0.5)


def test_a_plugin_may_be_imported_in_inference_mode_and_be_trained_by_later():
    code = """
import torch, zoo
data = torch.eye(3, dtype=torch.float64)
with torch.inference_mode():
    zoo.exact("gravity", data.clone(), solver="exp-abm4").sample(1, seed=0, steps=3)
    zoo.kernel("psi", dim=3, psi="tanh(r/t)").log_density(data, 1 + data, 1.0)
model = zoo.exact("gravity", data)
kernel = model.kernel
x = torch.ones(1, 3, dtype=torch.float64, requires_grad=True)
solver = zoo.solver("exp-abm4")
solver.integrate(model.flow(), x, kernel.t_max, kernel.t_min, steps=5).sum().backward()
zoo.kernel("psi", dim=3, psi="tanh(r/t)").log_density(x, 1 + data, 1.0).sum().backward()
print(bool(x.grad.isfinite().all()))
"""
    done = run_python("-c", code)
    assert (done.stdout, done.stderr) == ("True\n", "")

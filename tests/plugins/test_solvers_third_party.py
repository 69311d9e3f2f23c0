"""A solver of a third party: the one written in docs/solvers.md, and what it gets for free."""

import importlib
import re

import pytest
import torch
from environments import ROOT
from fake_distributions import brings, install
from zoo_solvers.runge_kutta import Heun

import zoo
from zoo.errors import ZooError
from zoo.interfaces import Flow, GridSolver, Solver
from zoo.testing import checks


def ralston():
    page = (ROOT / "docs" / "solvers.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.M | re.S)
    return code


@pytest.fixture
def plugin(site):
    source = brings("zoo_solvers", "ralston", "zoo_two.ralston:Ralston")
    return install(site, "zoo-two", source=source, files={"ralston.py": ralston()})


def test_it_has_at_most_25_lines():
    assert 10 < len(ralston().splitlines()) <= 25


def test_it_passes_its_checks(plugin):
    found = checks("two")
    assert len(found) >= 3
    for check in found:
        check()


def test_it_has_the_options_of_a_grid_for_free(plugin):
    kernel = zoo.kernel("gravity", dim=4)
    solver = zoo.solver("ralston", grid={"use": "focus", "pivot": 0.5})
    assert solver.evaluations(9) == 18
    expected = zoo.solver("heun", grid={"use": "focus", "pivot": 0.5})
    ends = (kernel.t_max, kernel.t_min, 9)
    assert torch.equal(solver.times(kernel, *ends), expected.times(kernel, *ends))
    with pytest.raises(ZooError, match="grid 'focus' has no option 'rho'"):
        zoo.solver("ralston", grid={"use": "focus", "rho": 5})
    assert importlib.import_module("zoo_two.ralston").Ralston(grid=[80.0, 1.0, 0.1]).grid


def walked(name):
    """The grid of nine steps of a solver, and their times; the evaluations are as it says."""
    kernel, seen = zoo.kernel("gaussian", dim=2), [80.0]
    solver = zoo.solver(name)
    flow = Flow(kernel, lambda x, t: 0.1 * x, dtype=torch.float64)
    x = torch.ones(3, 2, dtype=torch.float64)
    solver.integrate(flow, x, 80.0, 0.002, steps=9, callback=lambda i, t, x: seen.append(t))
    assert solver.evaluations(9) == flow.nfe
    return solver.times(kernel, 80.0, 0.002, 9), seen


@pytest.mark.parametrize("name", ["euler", "heun", "rk4", "exp-abm3", "exp-abm4", "ab3"])
def test_times_are_those_of_the_callback(name):
    times, seen = walked(name)
    assert times.dtype == torch.float64
    assert times.tolist() == seen


@pytest.mark.parametrize("name", ["torchdiffeq-rk4", "torchdiffeq-midpoint"])
def test_torchdiffeqs_fixed_steps_have_times_and_evaluations(name):
    times, seen = walked(name)
    assert times.tolist() == pytest.approx(seen, rel=1e-12)


@pytest.mark.parametrize("name", ["dopri5", "exp-adaptive", "torchdiffeq-dopri5"])
def test_a_solver_that_chooses_its_own_steps_says_so(name):
    kernel, solver = zoo.kernel("gaussian", dim=2), zoo.solver(name)
    with pytest.raises(ZooError, match=f"^{name} chooses its own steps"):
        solver.times(kernel, 80.0, 0.002, 9)
    with pytest.raises(ZooError, match=f"^{name} chooses its own steps"):
        solver.evaluations(9)


def test_a_solver_may_still_write_integrate_itself():
    class Plain(Solver):
        order = 1

        def integrate(self, flow, x, t_from, t_to, *, steps, callback=None):
            return x + (t_to - t_from) * flow.field(x, t_from)

    flow = Flow(zoo.kernel("gaussian", dim=2), lambda x, t: 0 * x, dtype=torch.float64)
    end = Plain().integrate(flow, torch.ones(1, 2, dtype=torch.float64), 2.0, 1.0, steps=1)
    assert end.tolist() == [[0.5, 0.5]]
    with pytest.raises(TypeError, match=r"abstract class GridSolver with abstract method '?step"):
        GridSolver()


def test_a_solver_may_build_upon_another_ones_steps():
    """A subclass that replaces `states` or `integrate` keeps the methods that it inherits."""

    class Twice(Heun):
        def states(self, flow, x, times):
            for state in super().states(flow, x, times):
                yield self.step(flow, state, times[0], times[0])

        def integrate(self, flow, x, t_from, t_to, *, steps, callback=None):
            return super().integrate(flow, x, t_from, t_to, steps=steps, callback=callback)

    flow = Flow(zoo.kernel("gaussian", dim=2), lambda x, t: 0 * x, dtype=torch.float64)
    x = torch.ones(1, 2, dtype=torch.float64)
    ends = [solver().integrate(flow, x, 2.0, 1.0, steps=4) for solver in (Twice, Heun)]
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"rho": 5.0}, {"grid": {"use": "edm", "rho": 5.0}}),
        ({"grid": "focus", "pivot": 0.07, "width": 2.0}, None),
        ({"grid": "log", "rho": 7.0}, {"grid": "log"}),
        ({"grid": [80.0, 1.0], "rho": 7.0}, {"grid": [80.0, 1.0]}),
    ],
)
def test_options_of_a_grid_as_they_were_once_are_read(old, new):
    new = new or {"grid": {"use": "focus", "pivot": 0.07, "width": 2.0}}
    kernel = zoo.kernel("gaussian", dim=2)
    solver = zoo.solver("heun", **old)
    assert solver.part.options == new
    times = zoo.solver("heun", **new).times(kernel, 80.0, 0.002, 9)
    assert torch.equal(solver.times(kernel, 80.0, 0.002, 9), times)


def test_the_grid_of_old_options_is_the_solvers_own_by_default():
    assert zoo.solver("exp-abm4", pivot=0.07, rho=5.0).part.options == {
        "grid": {"use": "focus", "pivot": 0.07}
    }
    with pytest.raises(ZooError, match="solver 'dopri5' has no option 'rho'"):
        zoo.solver("dopri5", rho=5.0)


def test_torchdiffeq_is_one_class_with_a_method():
    solver = zoo.solver("torchdiffeq-bosh3", rtol=1e-3)
    assert (solver.method, solver.order, solver.couples_samples) == ("bosh3", 3, True)
    with pytest.raises(
        ZooError, match="solver 'torchdiffeq-rk4' has no option 'rtol'; it takes none"
    ):
        zoo.solver("torchdiffeq-rk4", rtol=1e-3)
    with pytest.raises(ZooError, match="max_steps = 0; expected a whole number of at least 1"):
        zoo.solver("torchdiffeq-dopri5", max_steps=0)
    with pytest.raises(ZooError, match="torchdiffeq's rk4 has no option 'rtol'"):
        type(solver)("rk4", rtol=1e-3)
    one = type(solver)("rk4")
    assert (one.method, one.order) == ("rk4", 4)
    with pytest.raises(ZooError, match="torchdiffeq has no method 'rk5': did you mean 'rk4'"):
        type(solver)("rk5")

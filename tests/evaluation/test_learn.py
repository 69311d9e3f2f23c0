"""zoo.evaluation.learn: solvers that are learned through their walk."""

from itertools import pairwise

import pytest
import torch
from tiny_models import images
from walked import KERNELS
from zoo_solvers.adams import ExpABM3

import zoo
from zoo.errors import ZooError
from zoo.evaluation.learn import _starts, learn_solver
from zoo.evaluation.tune import adopt
from zoo.evaluation.walks import REPORTED, Walks
from zoo.sampling.few_steps import gradient_batch
from zoo.sampling.guidance import Guidance

POINTS = torch.randn(24, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


# Of few points, losses count the samples that end at another point, which takes thousands to see.
MANY = torch.randn(200, 2, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def exact(name, points=POINTS, **options):
    return zoo.exact(zoo.kernel(name, dim=2, **KERNELS[name]), points, **options)


OWN = {"grid": [80.0, 7.0, 2.0, 0.6, 0.002], "scale": 0.7}
FAST = ("gravity", "gaussian")
# Of `before`, where little is left to learn in so few rounds.
MOST = {"flow": 0.98, "vp": 0.95}
# psi is slow, see below.
LEARN = [name for name in KERNELS if name != "psi"]


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=[] if k in FAST else pytest.mark.slow) for k in LEARN]
)
def test_learning_improves_on_starts_that_it_has_not_seen(name):
    learned = learn_solver(exact(name, MANY), steps=5, n=256, rounds=60)
    assert learned.after < MOST.get(name, 0.85) * learned.before
    assert learned.solver.own_steps == 5


@pytest.mark.slow
def test_psi_keeps_what_it_has_in_few_rounds():
    learned = learn_solver(exact("psi", MANY), steps=5, n=64, rounds=3)
    assert learned.after == learned.before


def test_a_lifted_model_learns_too():
    model = zoo.lift(exact("gaussian", MANY), "gravity")
    learned = learn_solver(model, steps=5, n=256, rounds=60)
    assert learned.after < 0.85 * learned.before


@pytest.mark.parametrize("learn", ["grid", "coefficients"])
def test_only_what_was_asked_is_learned(learn):
    model = exact("gaussian", MANY, solver=zoo.solver("exp-abm3", **OWN))
    got = learn_solver(model, steps=5, learn=learn, n=256, rounds=30).solver.part.options
    starts = [start.part.options["grid"] for start in _starts(model, model.solver, 5, learn)]
    assert ("coefficients" in got) == (learn == "coefficients")
    assert (got["grid"] in starts) == (learn == "coefficients")
    assert got["grid"][0] == starts[0][0]


def own_loss(model):
    return Walks(model, 64, 5, seed=0).mean(model.solver, REPORTED)


def test_it_goes_on_from_the_models_own_grid_and_scale():
    model = exact("gaussian", solver=zoo.solver("exp-abm3", **OWN))
    first, *_ = _starts(model, model.solver, 5, "coefficients")
    assert first.part.options["scale"] == 0.7
    assert first.part.options["grid"][1:-1] == pytest.approx(OWN["grid"][1:-1])
    early, *_ = _starts(model, model.solver, 5, "grid")
    assert early.part.options["grid"][-1] > 10 * model.kernel.t_min
    learned = learn_solver(model, steps=5, n=64, rounds=2)
    assert learned.before == own_loss(model)
    assert learned.solver.part.options["scale"] == 0.7


@pytest.mark.parametrize("name", ["exp-abm3", "exp-ab2"])
def test_it_is_held_to_the_models_own_solver_and_keeps_it_where_nothing_is_better(
    name, monkeypatch
):
    monkeypatch.setattr(
        "zoo.evaluation.learn._descend", lambda *_: {"grid": [80.0, 79.0, 78.0, 77.0, 76.0]}
    )
    model = exact("gaussian", solver=name)
    found = learn_solver(model, steps=5, n=64)
    assert found.solver is model.solver
    assert found.after == found.before == own_loss(model)
    assert len(found.levels) == 5


class InFive(ExpABM3):
    """A solver of five steps that is not `learned`, and takes no grid."""

    own_steps = 5

    def __init__(self):
        super().__init__(scale=0.6)


def test_a_solver_of_one_number_of_steps_need_not_be_the_learned_one():
    model = exact("gaussian", solver=InFive())
    learned = learn_solver(model, n=64, rounds=2)
    assert learned.steps == 5
    assert learned.before == own_loss(model)


def test_little_time_is_enough_for_one_round(monkeypatch):
    rounds, loss = [], Walks.loss
    monkeypatch.setattr(
        Walks,
        "loss",
        lambda *args: (rounds.append(torch.is_grad_enabled()), loss(*args))[1],
    )
    model = exact("gaussian")
    with torch.no_grad():
        assert learn_solver(model, steps=3, n=600, minutes=1e-6).solver.own_steps == 3
    assert sum(rounds) == 1
    assert Walks(model, 600, 3, seed=0, until=0.0).n == gradient_batch(model.shape, 3) == 512


def test_a_gradient_through_many_steps_is_of_fewer_images():
    model = images(shape=(3, 32, 32))
    assert [gradient_batch(model.shape, steps) for steps in (1, 5, 10, 64)] == [64, 64, 34, 5]


def test_networks_and_guides_get_no_gradient():
    model, guide = images(), images()
    model._guidance = lambda *_: Guidance(2.0, guide)
    learn_solver(model, steps=3, n=4, rounds=1)
    for network in (model.network, guide.network):
        assert all(p.requires_grad and p.grad is None for p in network.parameters())


def test_a_trajectory_ends_at_data_and_has_the_grids_nodes():
    model = exact("gaussian")
    grid, rows = [80.0, 7.0, 2.0, 0.6, 0.1], [[], [0.1], [0.1, 0], [0, 0, 0.2], []]
    solver = zoo.solver("learned", grid=grid, coefficients=rows)
    drawn = model.trajectory(6, seed=2, solver=solver)
    assert drawn.t.tolist() == pytest.approx([*grid, 0.0])
    assert torch.equal(drawn.samples, model.sample(6, seed=2, solver=solver))
    assert drawn.nfe == 5
    assert all(not torch.equal(a, b) for a, b in pairwise(drawn.x))


@pytest.mark.parametrize("name", ["gravity", "pfgmpp"])
def test_samples_of_extreme_levels_fit_a_grid_that_ends_early(name):
    kernel = zoo.kernel(name, dim=2, **KERNELS[name])
    grid = zoo.solver("learned", grid=[80.0, 20.0, 4.0, 0.7, 0.1]).grid
    ratio = torch.logspace(-3, 3, 61, dtype=torch.float64)
    times = grid.times(kernel, kernel.t_max, kernel.t_min, 4, ratio)
    assert times.min() >= kernel.t_min * (1 - 1e-9)
    assert times.max() <= kernel.t_max * (1 + 1e-9)
    assert (times.diff(dim=0) < 0).all()
    usual = (ratio > 0.1) & (ratio < 10)
    ends = kernel.level(times[-1]) * ratio
    torch.testing.assert_close(ends[usual], torch.full_like(ends[usual], 0.1), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", KERNELS)
def test_without_coefficients_it_is_exp_abm3(name):
    model = exact(name)
    times = zoo.solver("exp-abm3").times(model.kernel, model.kernel.t_max, model.kernel.t_min, 5)
    grid = model.kernel.level(times).clamp(max=160.0).tolist()
    one = model.sample(8, seed=1, steps=6, solver=zoo.solver("exp-abm3", grid=grid))
    other = model.sample(8, seed=1, solver=zoo.solver("learned", grid=grid))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["gravity", "gaussian", "vp", "flow"])
def test_the_gradient_is_that_of_differences(name):
    model = exact(name)
    walks = Walks(model, 16, 4, seed=0)
    grid = [40.0, 6.0, 1.5, 0.3]
    weights = torch.tensor([[0, 0, 0], [0.1, 0, 0], [0.1, 0.1, 0], [0, 0.1, 0.1]]).double()

    def loss(logs, weights):
        solver = zoo.solver("learned", grid=grid)
        solver.learn(grid=logs, coefficients=weights)
        with torch.enable_grad():
            return walks.loss(solver, 0, 16)

    logs = torch.tensor(grid[::-1], dtype=torch.float64).log().requires_grad_()
    weights.requires_grad_()
    got = torch.autograd.grad(loss(logs, weights), [logs, weights])
    for at, value in ((0, logs), (1, logs), (4, weights), (10, weights)):
        moved = []
        for h in (1e-5, -1e-5):
            new = value.detach().clone()
            new.view(-1)[at] += h
            other = (new, weights.detach()) if value is logs else (logs.detach(), new)
            moved.append(loss(other[0].requires_grad_(), other[1].requires_grad_()).item())
        wanted = (moved[0] - moved[1]) / 2e-5
        found = float(got[0 if value is logs else 1].reshape(-1)[at])
        assert abs(found - wanted) < 1e-3 * abs(wanted) + 1e-5


def test_a_learned_model_is_saved_and_learns_on(tmp_path):
    model = images()
    learned = learn_solver(model, steps=4, n=8, rounds=3)
    adopt(model, learned)
    again = zoo.load(model.save_pretrained(tmp_path / "learned"))
    assert again.steps == 4
    assert torch.equal(again.sample(2, seed=3), model.sample(2, seed=3))
    assert learn_solver(again, n=8, rounds=2).before == pytest.approx(learned.after, rel=1e-5)
    with pytest.raises(ZooError, match="made for samples in 4 steps"):
        again.sample(1, steps=7)
    for code in (again.encode, again.decode):
        for steps in (3, 4, None):
            with pytest.raises(ZooError, match="made for samples in 4 steps"):
                code(torch.zeros(1, 1, 8, 8), solver="learned", steps=steps)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": []}, "number of grid levels"),
        ({"grid": [1.0, 2.0]}, "decrease"),
        ({"grid": [1.0, float("nan")]}, "finite"),
        ({"grid": [1e300, 1.0]}, "1e\\+300"),
        ({"grid": [1.0] * 5000}, "5000 numbers"),
        ({"grid": [2.0, 1.0], "coefficients": [[]]}, "1 rows; expected 2"),
        ({"grid": [2.0, 1.0], "coefficients": [[], [1, 2]]}, "at most 1"),
        ({"grid": [2.0, 1.0], "coefficients": [[], [1e9]]}, "1e\\+09"),
        ({"grid": [2.0, 1.0], "coefficients": 3}, "coefficients"),
    ],
)
def test_broken_numbers_are_refused(options, message):
    with pytest.raises(ZooError, match=message):
        zoo.solver("learned", **options)


def test_what_cannot_be_learned_is_told():
    model = exact("gaussian")
    for options, message in (
        ({"steps": 1}, "steps = 1"),
        ({"steps": 65}, "steps = 65"),
        ({"learn": "all"}, "learn"),
    ):
        with pytest.raises(ZooError, match=message):
            learn_solver(model, n=4, rounds=1, **options)
    with pytest.raises(ZooError, match="for the model it is of"):
        learn_solver(model.posterior([0.5], lambda x: x[:, :1], noise=0.1))

"""zoo.evaluation.learn: solvers that are learned through their walk."""

import pytest
import torch

import zoo
from zoo.errors import ZooError
from zoo.evaluation.learn import learn_solver
from zoo.evaluation.tune import adopt
from zoo.evaluation.walks import Walks

POINTS = torch.randn(24, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
KERNELS = {
    "gravity": {},
    "gaussian": {},
    "pfgmpp": {"D": 8.0},
    "tanh": {},
    "exp": {},
    "flow": {},
    "vp": {},
    "psi": {"psi": "tanh((r/t)**beta)", "beta": 1.5},
    "phi": {"phi": "exp(-r/t)"},
}


# Of few points, losses count the samples that end at another point, which takes thousands to see.
MANY = torch.randn(200, 2, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def exact(name, points=POINTS):
    return zoo.exact(zoo.kernel(name, dim=2, **KERNELS[name]), points)


FAST = ("gravity", "gaussian")
# Of `before`, where little is left to learn in so few rounds.
MOST = {"flow": 0.98, "vp": 0.95}
# psi keeps its start with this little.
LEARN = [name for name in KERNELS if name != "psi"]


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=[] if k in FAST else pytest.mark.slow) for k in LEARN]
)
def test_learning_improves_on_starts_that_it_has_not_seen(name):
    learned = learn_solver(exact(name, MANY), steps=5, n=256, rounds=60)
    assert learned.after < MOST.get(name, 0.85) * learned.before
    assert learned.solver.own_steps == 5


def test_a_lifted_model_learns_too():
    model = zoo.lift(exact("gaussian", MANY), "gravity")
    learned = learn_solver(model, steps=5, n=256, rounds=60)
    assert learned.after < 0.85 * learned.before


@pytest.mark.parametrize("learn", ["grid", "coefficients"])
def test_only_what_was_asked_is_learned(learn):
    model = exact("gaussian")
    got = learn_solver(model, steps=5, learn=learn, n=128, rounds=20).solver.part.options
    free = {"grid": "corrections", "coefficients": "grid"}[learn]
    start = learn_solver(model, steps=5, learn="coefficients", n=1, rounds=1).levels
    assert free != "corrections" or "corrections" not in got
    assert free != "grid" or tuple(got["grid"]) == start


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
def test_without_corrections_it_is_exp_abm3(name):
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
    from tiny_models import images

    model = images()
    learned = learn_solver(model, steps=4, n=8, rounds=3)
    adopt(model, learned)
    again = zoo.load(model.save_pretrained(tmp_path / "learned"))
    assert again.steps == 4
    assert torch.equal(again.sample(2, seed=3), model.sample(2, seed=3))
    assert learn_solver(again, n=8, rounds=2).before == pytest.approx(learned.after, rel=1e-5)
    with pytest.raises(ZooError, match="made for samples in 4 steps"):
        again.sample(1, steps=7)
    with pytest.raises(ZooError, match="made for samples in 4 steps"):
        again.encode(torch.zeros(1, 1, 8, 8), solver="learned")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": [1.0]}, "number of grid levels"),
        ({"grid": [1.0, 2.0]}, "decrease"),
        ({"grid": [1.0, float("nan")]}, "finite"),
        ({"grid": [1e300, 1.0]}, "1e\\+300"),
        ({"grid": [1.0] * 5000}, "5000 numbers"),
        ({"grid": [2.0, 1.0], "corrections": [[]]}, "1 rows; expected 2"),
        ({"grid": [2.0, 1.0], "corrections": [[], [1, 2]]}, "at most 1"),
        ({"grid": [2.0, 1.0], "corrections": [[], [1e9]]}, "1e\\+09"),
        ({"grid": [2.0, 1.0], "corrections": 3}, "corrections"),
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

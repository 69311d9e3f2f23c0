"""FieldModel.trajectory: the samples of `sample`, and where they were after every step."""

import math
from functools import cache
from itertools import pairwise, product

import pytest
import torch
from kernel_cases import CASES, ISOTROPIC, build
from tiny_models import images, points
from walked import OWN_STEPS

import zoo
from zoo import plotting
from zoo.errors import ZooError
from zoo.evaluation.perturb import NoisySolver
from zoo.evaluation.settings import evaluations
from zoo.folder.picture import grid
from zoo.models.exact import GaussianMixture
from zoo.plotting import film
from zoo.sampling.rng import GROUP, starting_points, step_noise

DIM = 2
# "learned" takes a grid: tests/evaluation/test_learn.py.
SOLVERS = [name for name in zoo.components("solvers") if name not in OWN_STEPS]
GAUSSIAN = [case for case in CASES if build(case, DIM).gaussian]
LIFTS = [case for case in CASES if case in ISOTROPIC or case in GAUSSIAN]
# Fixed steps, a step of each sample's own, noise; those of one step for all are among SOLVERS.
KINDS = {"heun": {}, "dopri5": {"rtol": 0.1, "atol": 0.1}}


def data(count=3):
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(0)).double()


@cache
def exact(case):
    return zoo.exact(build(case, DIM), data())


@cache
def lifted(case):
    return zoo.lift(exact("gaussian"), build(case, DIM))


def marks(case, name):
    """Inverts numerically, or is stiff where it starts."""
    slow_kernel = case in ("map", "phi-warped", "phi-laplace")
    return pytest.mark.slow if slow_kernel or (case, name) == ("interpolant", "dopri5") else ()


def step_by_step(model, solver, n, first, seed, steps):
    """States (S, n, d) of the ODE of (x, sigma), or of x, integrated without `trajectory`."""
    kernel, batches, last = model.kernel, [], first + n
    ends = [0, GROUP, 2 * GROUP] if solver.couples_samples else [first, last]
    for a, b in pairwise(ends):

        def noise(step, a=a, b=b):
            return step_noise(model.shape, seed, step, a, b)

        state = starting_points(model.prior, model.shape, seed, a, b)
        lifts = kernel.random_level
        flow = model.augmented_flow(noise=noise) if lifts else model.flow(noise=noise)
        state = flow.start(state) if lifts else state
        states = [state.clone()]
        state = solver.integrate(
            flow,
            state,
            kernel.t_max,
            kernel.t_min,
            steps=steps - 1,
            callback=lambda _, t, x, states=states: states.append(x.clone()),
        )
        torch.testing.assert_close(states[-1], state)
        t = kernel.t_min
        end = flow.denoise(state, t) if kernel.affine else state - t * flow.field(state, t)
        batches.append([flow.unpack(x)[0] if lifts else x for x in (*states, end)])
    length = max(map(len, batches))
    rows = slice(first - ends[0], last - ends[0])
    padded = [xs + xs[-1:] * (length - len(xs)) for xs in batches]
    states = [torch.cat(xs)[rows].double() for xs in zip(*padded, strict=True)]
    return torch.stack(states)


PAIRS = [
    *(pytest.param(exact, *p, marks=marks(*p)) for p in product(CASES, KINDS)),
    *(pytest.param(lifted, *p, marks=marks(*p)) for p in product(LIFTS, KINDS)),
    *(pytest.param(exact, "gaussian", name) for name in SOLVERS if name not in KINDS),
    *(pytest.param(lifted, "gravity", name) for name in SOLVERS if name not in KINDS),
]


@pytest.mark.parametrize(("built", "case", "name"), PAIRS)
def test_the_last_state_is_the_sample_for_every_kernel_lift_and_solver(built, case, name):
    options = {"s_churn": 4.0} if name == "heun-churn" else KINDS.get(name, {})
    model, solver = built(case), zoo.solver(name, **options)
    steps = 40 if name == "torchdiffeq-implicit_adams" else 4  # it gives up on long steps
    asked = {"n": 18, "first": 3, "seed": 3, "steps": steps, "solver": solver}
    samples, drawn = model.sample(**asked), model.trajectory(**asked)
    assert torch.equal(drawn.samples, samples)
    assert torch.equal(drawn.x[-1].float(), samples)
    assert drawn.x.shape == (len(drawn.t), 18, DIM)
    assert float(drawn.t[0]) == model.kernel.t_max
    assert float(drawn.t[-1]) == 0
    assert bool((drawn.t.diff() <= 0).all())
    assert float(drawn.t[-2]) == pytest.approx(model.kernel.t_min)
    # The state at t_min is where the last step, to t = 0, began.
    last, t = drawn.x[-2], model.kernel.t_min
    if built is exact:
        flow = model.flow()
        end = flow.denoise(last, t) if model.kernel.affine else last - t * flow.field(last, t)
        torch.testing.assert_close(end.float(), samples, rtol=1e-4, atol=1e-4)
    else:
        expected = step_by_step(model, **asked)
        assert drawn.x.shape == expected.shape
        torch.testing.assert_close(drawn.x, expected, rtol=1e-5, atol=1e-5)


def lifted_images():
    mean = torch.linspace(-0.5, 0.5, 64).reshape(1, 1, 8, 8)
    return zoo.lift(zoo.exact("gaussian", GaussianMixture.diagonal(mean, 0.1)), "gravity")


def test_a_lifted_model_is_drawn_by_the_levels_that_its_samples_carry():
    """The picture once showed another ODE's states: samples 1.29 off, on a range of 2."""
    model = lifted_images()
    drawn, samples = model.trajectory(16, seed=3), model.sample(16, seed=3)
    assert torch.equal(drawn.samples, samples)
    figure = plotting.trajectories(model, 2, seed=3, steps=9)
    drawn = model.trajectory(2, seed=3, steps=9)
    tiles = film.film(drawn, plotting.denoise_along(model, drawn))
    assert torch.equal(tiles[::2, -1], model.sample(2, seed=3, steps=9))
    shown = figure.axes[0].images[0].get_array()
    assert (shown == grid(tiles.flatten(0, 1), columns=tiles.shape[1])).all()


def test_the_picture_of_a_lifted_model_in_the_plane_shows_its_samples():
    model = zoo.lift(zoo.exact("gaussian", plotting.plane_points("two-moons")), "gravity")
    figure = plotting.trajectories(model, 9, seed=2, steps=8)
    (dots,) = figure.axes[0].get_lines()
    found = torch.tensor(dots.get_xydata()).float()
    assert torch.equal(found, model.sample(9, seed=2, steps=8))


@pytest.mark.parametrize("steps", [1, 5])
def test_states_are_of_every_step_and_end_in_the_sample(steps):
    model = images()
    drawn = model.trajectory(3, steps=steps, seed=4)
    assert torch.equal(drawn.samples, model.sample(3, steps=steps, seed=4))
    assert drawn.x.shape == (steps + 1, 3, 1, 8, 8)
    assert drawn.t[0] == model.kernel.t_max
    assert (drawn.t.diff() < 0).all()
    if steps > 1:
        assert float(drawn.t[-2]) == pytest.approx(model.kernel.t_min)
    size = drawn.x[0, 1].square().mean().sqrt()
    assert float(drawn.rms[0, 1]) == pytest.approx(float(size))


def test_a_kernel_that_is_not_affine_has_trajectories_too():
    model = zoo.exact(build("psi-warped", 2), plotting.plane_points("three-points"))
    drawn = model.trajectory(4, steps=30, seed=0)
    assert torch.equal(drawn.samples, model.sample(4, steps=30, seed=0))


@pytest.mark.parametrize(("n", "steps", "name"), [(0, 5, "n"), (-1, 5, "n"), (3, 0, "steps")])
def test_a_trajectory_of_nothing_is_refused(n, steps, name):
    with pytest.raises(ZooError, match=rf"^{name} = .*at least 1"):
        points().trajectory(n, steps=steps)


@pytest.mark.parametrize("steps", [1, 4])
def test_a_trajectory_that_is_not_finite_names_the_time(steps):
    model = points()
    for parameter in model.network.parameters():
        torch.nn.init.constant_(parameter, math.nan)
    with pytest.raises(ZooError, match="not finite at t = "):
        model.trajectory(2, steps=steps)


@pytest.mark.parametrize("kernel", ["gaussian", "gravity"])
def test_batches_labels_guidance_and_another_prior_are_those_of_sample(kernel):
    model = images("gaussian", labels=3)
    model = model if kernel == "gaussian" else zoo.lift(model, kernel)
    asked = {"seed": 1, "first": 5, "steps": 3, "batch_size": 16, "guidance": 2.0}
    asked |= {
        "labels": torch.arange(40) % 3,
        "prior": zoo.exact(model.kernel, torch.rand(2, 64)).prior,
    }
    assert torch.equal(model.trajectory(40, **asked).x[-1].float(), model.sample(40, **asked))


def test_batches_of_different_lengths_stay_where_they_end():
    """Two groups under one step size for each: the one that arrives first waits."""
    model, solver = exact("gaussian"), zoo.solver("torchdiffeq-bosh3", rtol=1e-3, atol=1e-3)
    both = model.trajectory(32, solver=solver, seed=0)
    parts = [model.trajectory(16, first=k, solver=solver, seed=0) for k in (0, 16)]
    assert len(both.t) == max(len(part.t) for part in parts)
    for k, part in zip((0, 16), parts, strict=True):
        mine = both.x[:, k : k + 16]
        assert torch.equal(mine[: len(part.t)], part.x)
        assert torch.equal(
            mine[len(part.t) :], part.x[-1:].expand(len(both.t) - len(part.t), -1, -1)
        )
    assert both.nfe == max(part.nfe for part in parts)


@pytest.mark.parametrize(("solver", "steps", "nfe"), [("heun", 7, 13), ("exp-abm3", 7, 7)])
@pytest.mark.parametrize("case", ["gravity", "vp-linear"])
def test_a_trajectory_counts_its_evaluations_and_keeps_only_what_is_asked_for(
    solver, steps, nfe, case
):
    for model in (exact(case), lifted(case)):
        drawn = model.trajectory(16, solver=solver, steps=steps, seed=0, keep=False)
        assert drawn.nfe == nfe == evaluations(model, zoo.solver(solver), steps)
        assert drawn.x.shape == (0, 16, DIM)
        assert torch.equal(drawn.samples, model.sample(16, solver=solver, steps=steps, seed=0))


def test_noise_on_the_way_is_in_the_trajectory_too():
    solver, model = NoisySolver(zoo.solver("heun"), 0.5), lifted("gravity")
    drawn = model.trajectory(5, solver=solver, seed=1, steps=6)
    assert torch.equal(drawn.samples, model.sample(5, solver=solver, seed=1, steps=6))

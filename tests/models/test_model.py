"""FieldModel: what samples are and depend on, labels and guidance, and what is refused."""

import math
import re

import numpy as np
import pytest
import torch
from tiny_models import images, points, stir

import zoo
from zoo.errors import ZooError
from zoo.interfaces import IsotropicKernel, KernelPrior, Network
from zoo.models.model import FieldModel

# Fixed steps, a step size per sample, and one for a whole group.
SOLVERS = {
    "heun": {},
    "euler": {},
    "dopri5": {"rtol": 0.05, "atol": 0.05},
    "torchdiffeq-rk4": {},
    "torchdiffeq-bosh3": {"rtol": 0.3, "atol": 0.3},
}


@pytest.fixture(scope="module")
def model():
    return images()


@pytest.fixture(scope="module")
def labelled():
    return points(labels=3)


class Spy(Network):
    """A network that notes how many rows it was asked for, and when."""

    def __init__(self, labels=0, value=None):
        super().__init__()
        self.labels, self.value, self.rows, self.times = labels, value, [], []

    def forward(self, x_t, t, labels=None):
        self.rows.append(len(x_t))
        self.times += t.reshape(-1).tolist()
        return torch.zeros_like(x_t) if self.value is None else self.value(x_t, t)


def with_network(network, dim=2, kernel="gaussian", solver="heun"):
    built = zoo.kernel(kernel, dim=dim)
    return FieldModel(built, zoo.prior(kernel, built), network, zoo.solver(solver), (dim,))


# What samples are


def test_samples_have_the_models_shape_are_finite_and_in_range(model):
    samples = model.sample(64, seed=0)
    assert samples.shape == (64, 1, 8, 8)
    assert samples.dtype == torch.float32
    assert samples.isfinite().all()
    assert samples.abs().max() <= 1
    assert len(samples.flatten(1).unique(dim=0)) == 64


def test_vectors_are_not_clamped():
    network = Spy(value=lambda x, t: torch.full_like(x, 3.0))
    assert torch.equal(with_network(network).sample(2, seed=0), torch.full((2, 2), 3.0))


# What they depend on


@pytest.mark.parametrize("name", SOLVERS)
def test_sample_i_depends_on_seed_and_i_alone_to_the_last_bit(model, name):
    solver = zoo.solver(name, **SOLVERS[name])

    def draw(n, **options):
        return model.sample(n, seed=0, steps=4, solver=solver, **options)

    whole = draw(40)
    assert torch.equal(draw(6), whole[:6])
    assert torch.equal(draw(1), whole[:1])
    for size in (1, 33):
        assert torch.equal(draw(20, batch_size=size), whole[:20])


@pytest.mark.parametrize("dim", [1, 3, 5])
@pytest.mark.parametrize("solver", ["heun", "dopri5"])
def test_so_do_vectors_of_odd_sizes(dim, solver):
    model = points(dim=dim)
    options = {"seed": 0, "steps": 5, "solver": zoo.solver(solver, **SOLVERS[solver])}
    whole = model.sample(600, **options)
    assert torch.equal(model.sample(7, **options), whole[:7])
    assert torch.equal(model.sample(600, batch_size=3, **options), whole)


@pytest.mark.parametrize("solver", ["heun", "dopri5"])
def test_and_labelled_guided_samples(labelled, solver):
    labels = torch.arange(40) % 4 - 1
    options = {"seed": 0, "steps": 4, "solver": solver, "guidance": 1.5}
    whole = labelled.sample(40, labels=labels, **options)
    assert torch.equal(labelled.sample(6, labels=labels[:6], **options), whole[:6])
    assert torch.equal(labelled.sample(40, labels=labels, batch_size=3, **options), whole)


def test_one_label_for_all_does_not_depend_on_n_under_a_coupling_solver(labelled):
    solver = zoo.solver("torchdiffeq-bosh3", **SOLVERS["torchdiffeq-bosh3"])
    options = {"seed": 0, "steps": 4, "solver": solver, "labels": 2}
    assert torch.equal(labelled.sample(3, **options), labelled.sample(40, **options)[:3])


def test_another_seed_gives_others(model):
    one, other = model.sample(4, seed=0, steps=3), model.sample(4, seed=1, steps=3)
    assert ((one - other).flatten(1).abs().amax(dim=1) > 0).all()


def test_without_a_seed_each_call_gives_others(model):
    assert not torch.equal(model.sample(2, steps=2), model.sample(2, steps=2))


def test_a_generator_gives_the_seed(model):
    def draw():
        generator = torch.Generator().manual_seed(5)
        return [model.sample(3, steps=2, generator=generator) for _ in range(2)]

    first, second = draw()
    assert not torch.equal(first, second)
    assert torch.equal(torch.stack(draw()), torch.stack([first, second]))


def test_a_seed_leaves_torchs_own_generator_alone(model):
    before = torch.random.get_rng_state()
    model.sample(3, seed=0, steps=2)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_dropout_is_for_training():
    model = points(dropout=0.5)
    assert torch.equal(model.sample(4, seed=0, steps=3), model.sample(4, seed=0, steps=3))


def test_numbers_of_numpy_are_numbers(model):
    counts = {"steps": np.int32(2), "batch_size": np.int64(2), "seed": np.int64(0)}
    assert torch.equal(model.sample(np.int64(3), **counts), model.sample(3, steps=2, seed=0))


# Steps


@pytest.mark.parametrize(("solver", "per_step"), [("heun", 2), ("euler", 1)])
def test_the_last_of_the_steps_is_the_denoiser(solver, per_step):
    network = Spy()
    model = with_network(network, solver=solver)
    model.sample(3, seed=0, steps=5)
    assert len(network.rows) == 4 * per_step + 1
    assert network.times[0] == pytest.approx(model.kernel.t_max)
    assert network.times[-1] == pytest.approx(model.kernel.t_min)


def test_one_step_is_the_denoiser_at_the_prior(model):
    x = model.prior.sample(16, model.shape, torch.Generator().manual_seed(0))
    samples = model.sample(16, seed=0, steps=1, prior=Fixed(model.kernel, x))
    torch.testing.assert_close(samples, model.denoise(x, model.kernel.t_max).float().clamp(-1, 1))


class Fixed(KernelPrior):
    """A prior that always gives the same points."""

    def __init__(self, kernel, x):
        super().__init__(kernel)
        self.x = x

    def sample(self, n, shape, generator=None):
        return self.x[:n]


class Weibull(IsotropicKernel):
    """psi = 1 - exp(-r^2/t - r/t^2): neither self-similar nor affine in x_0."""

    def radial_cdf(self, r, t):
        return 1 - (-(r**2) / t - r / t**2).exp()


def field_model(**options):
    kernel = Weibull(dim=2, t_min=0.01, t_max=20.0)
    network = stir(zoo.network("mlp", shape=(2,), kernel=kernel, width=16, blocks=1))
    return FieldModel(kernel, KernelPrior(kernel), network, zoo.solver("heun"), (2,), **options)


def test_a_network_that_predicts_the_field_is_sampled_too():
    model = field_model()
    assert model.network.predicts == "field"
    whole = model.sample(20, seed=0, steps=6)
    assert whole.isfinite().all()
    assert torch.equal(model.sample(3, seed=0, steps=6), whole[:3])


def test_its_last_step_is_eulers_to_0():
    model = field_model()
    x = model.prior.sample(16, (2,), torch.Generator().manual_seed(0))
    samples = model.sample(16, seed=0, steps=1, prior=Fixed(model.kernel, x))
    t = model.kernel.t_max
    torch.testing.assert_close(samples, (x - t * model.field(x, t)).float())


# Labels and guidance


def test_labels_change_samples_and_none_is_minus_one(labelled):
    draw = {label: labelled.sample(4, seed=0, steps=3, labels=label) for label in (-1, 0, 1)}
    assert torch.equal(draw[-1], labelled.sample(4, seed=0, steps=3))
    assert not torch.equal(draw[0], draw[1])
    mixed = labelled.sample(4, seed=0, steps=3, labels=torch.tensor([0, 1, 0, -1]))
    assert torch.equal(mixed, torch.stack([draw[k][i] for i, k in enumerate((0, 1, 0, -1))]))
    assert torch.equal(mixed, labelled.sample(4, seed=0, steps=3, labels=[0, 1, 0, -1]))


def test_guidance_extrapolates_from_no_class_to_the_class(labelled):
    options = {"seed": 0, "steps": 1}
    plain, cond = (labelled.sample(4, labels=k, **options) for k in (-1, 2))
    for guidance in (0.0, 1.0, 2.5):
        guided = labelled.sample(4, labels=2, guidance=guidance, **options)
        torch.testing.assert_close(guided, plain + guidance * (cond - plain))


def test_guidance_1_costs_nothing():
    rows = {}
    for guidance in (1.0, 2.0):
        network = Spy(labels=3)
        with_network(network).sample(4, seed=0, steps=3, labels=1, guidance=guidance)
        rows[guidance] = sum(network.rows)
    assert rows[2.0] == 2 * rows[1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 3}, r"labels have to be in 0\.\.2"),
        ({"labels": -2}, r"labels have to be in 0\.\.2"),
        ({"labels": np.uint64(2**64 - 1)}, r"labels have to be in 0\.\.2"),
        ({"labels": [0, 1]}, r"labels of shape \(2,\); expected one number or \(4,\)"),
        ({"labels": [[0, 1, 2, 0]]}, "labels of shape"),
        ({"labels": 0.5}, "labels of shape"),
        ({"labels": "cat"}, "labels = 'cat'; expected one number"),
        ({"guidance": 2.0}, "guidance = 2.0 needs labels"),
        ({"guidance": math.nan, "labels": 1}, "guidance = nan"),
    ],
)
def test_wrong_labels_are_told(labelled, options, message):
    with pytest.raises(zoo.ZooError, match=message):
        labelled.sample(4, seed=0, **options)


def test_labels_need_a_model_with_classes(model):
    with pytest.raises(zoo.ZooError, match="not conditioned on classes"):
        model.sample(1, labels=0)


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n = 0; expected a whole number of at least 1"),
        ({"steps": 0}, "steps = 0; expected a whole number of at least 1"),
        ({"steps": 10**9}, "steps = 1000000000; expected a whole number of at most 100000"),
        ({"n": -1}, "n = -1"),
        ({"n": True}, "n = True"),
        ({"n": 2.0}, r"n = 2\.0"),
        ({"n": "many"}, "n = 'many'"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"seed": "x"}, "seed = 'x'; expected a whole number"),
        ({"seed": True}, "seed = True"),
        ({"seed": 1, "generator": torch.Generator()}, "seed or generator, not both"),
        ({"solver": "heum"}, "no solver 'heum'; did you mean 'heun'"),
        ({"solver": 3}, "solver = 3; expected a name"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(model, options, message):
    with pytest.raises(zoo.ZooError, match=message) as error:
        model.sample(**options)
    assert "\n" not in str(error.value)


def test_parts_that_do_not_fit_are_refused():
    kernel = zoo.kernel("gaussian", dim=4)
    with pytest.raises(zoo.ZooError, match=r"shape = \(1, 3, 3\) has 9 coordinates, .* dim is 4"):
        FieldModel(kernel, zoo.prior("gaussian", kernel), Spy(), zoo.solver("heun"), (1, 3, 3))


@pytest.mark.parametrize("solver", ["heun", "euler", "dopri5"])
def test_a_network_that_goes_wrong_is_told_with_its_time(solver):
    below = 0.5
    network = Spy(value=lambda x, t: torch.where(t.reshape(-1, 1) < below, math.nan, 0 * x))
    with pytest.raises(zoo.ZooError, match=r"not finite") as error:
        with_network(network, solver=solver).sample(3, seed=0)
    named = float(re.search(r"t = ([\d.e-]+\d)", str(error.value))[1])
    assert 0.05 < named < 1.0


def test_the_last_step_is_watched_too():
    network = Spy(value=lambda x, t: torch.where(t.reshape(-1, 1) < 0.0021, math.inf, 0 * x))
    with pytest.raises(zoo.ZooError, match=r"not finite at t = 0\.002"):
        with_network(network, solver="euler").sample(3, seed=0, steps=4)


def test_a_prior_that_goes_wrong_is_told():
    model = with_network(Spy())
    with pytest.raises(zoo.ZooError, match="not finite at t = 80"):
        model.sample(2, prior=Fixed(model.kernel, torch.full((16, 2), math.inf)))


# The ODE itself


def test_field_and_denoiser_say_the_same(model):
    x = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    for t in (0.01, 1.0, torch.linspace(0.1, 50, 5)):
        d, f = model.denoise(x, t), model.field(x, t)
        wide = torch.as_tensor(t, dtype=torch.float64).reshape(-1, 1, 1, 1)
        torch.testing.assert_close(f, (x - d) / wide)


@pytest.mark.parametrize("ask", ["field", "denoise"])
def test_wrong_states_and_times_are_refused(model, ask):
    at = getattr(model, ask)
    x = torch.zeros(2, 1, 8, 8)
    with pytest.raises(zoo.ZooError, match=r"x has shape \(2, 64\); expected"):
        at(x.flatten(1), 1.0)
    with pytest.raises(zoo.ZooError, match="x is not finite"):
        at(torch.full_like(x, math.nan), 1.0)
    for t in (0.0, 1e9, math.nan, torch.tensor([1.0, -1.0])):
        with pytest.raises(zoo.ZooError, match="is outside"):
            at(x, t)


def test_decode_undoes_encode():
    model = points(kernel="gaussian")
    x = torch.rand(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    there = model.encode(x)
    assert float(there.norm(dim=1).median()) > 10
    torch.testing.assert_close(model.decode(there), x, atol=1e-4, rtol=0)
    heun = [f(y, steps=200, solver="heun") for f, y in ((model.encode, x), (model.decode, there))]
    torch.testing.assert_close(heun[0], there, atol=0, rtol=0.05)
    torch.testing.assert_close(heun[1], x, atol=2e-3, rtol=0)


def test_a_model_in_double_precision_works_in_double_precision(model):
    double = images().double()
    assert double.dtype == torch.float64
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    assert (double.denoise(x, 1.0) - model.denoise(x, 1.0)).abs().max() < 1e-4
    assert double.sample(2, seed=0, steps=2).dtype == torch.float32


def test_sampling_is_silent_where_nobody_watches(model, capsys):
    model.sample(2, seed=0, steps=2, progress=True)
    assert capsys.readouterr() == ("", "")


def test_what_is_no_state_or_time_is_told():
    model = points()
    with pytest.raises(ZooError, match=r"x is of torch.int64; expected floating-point"):
        model.denoise(torch.ones(2, 2, dtype=torch.int64), 1.0)
    for ask in (model.denoise, model.field):
        with pytest.raises(ZooError, match=r"t has shape \(3,\); expected a number or \(2,\)"):
            ask(torch.ones(2, 2), torch.ones(3))

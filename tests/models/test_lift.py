"""Lifts of Gaussian denoisers against the exact fields of the kernels that they are lifted to."""

import math

import numpy as np
import pytest
import torch
from common import normal
from test_loading import change
from tiny_models import images, points

import zoo
from zoo.data import load as load_data
from zoo.errors import ZooError
from zoo.interfaces import KernelPrior, PriorSampler, over
from zoo.models.exact import GaussianMixture
from zoo.models.lift import LevelDenoiser, LiftedModel, level_rate, lift

DOUBLE = torch.float64
# What the article's equivalence is shown for; D in between gravity and Gaussian.
TARGETS = {"gravity": {}, "tanh": {}, "exp": {}, "pfgmpp": {"D": 128.0}}


def garments(n, size, seed=0):
    """A few sources of the size of images: smooth, in [-1, 1]."""
    coarse = normal(n, 1, size // 4, size // 4, seed=seed)
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear").tanh()


def walked(flow, x, steps, unpack):
    """Return the path (steps + 1, B, d) from t_max to t_min by Heun, and the evaluations spent."""
    kernel, seen = flow.kernel, [unpack(x).flatten(1)]
    zoo.solver("heun").integrate(
        flow,
        x,
        kernel.t_max,
        kernel.t_min,
        steps=steps,
        callback=lambda i, t, state: seen.append(unpack(state).flatten(1)),
    )
    return torch.stack(seen), flow.nfe


def gaussian_up_to(high, data):
    """The exact Gaussian model whose denoiser knows levels up to `high`."""
    return zoo.exact(zoo.kernel("gaussian", dim=data[0].numel(), t_max=high), data)


def both_paths(name, data, n, steps, **options):
    """Return the paths of the exact field and of the lifted Gaussian one, from the same x_T."""
    kernel = zoo.kernel(name, dim=data[0].numel(), **options)
    exact, lifted = zoo.exact(kernel, data), lift(gaussian_up_to(1e9, data), kernel)
    x = exact.prior.sample(n, exact.shape, torch.Generator().manual_seed(0))
    flow = lifted.augmented_flow()
    with torch.inference_mode():
        own, nfe = walked(exact.flow(), x, steps, lambda x: x)
        other, nfe_lifted = walked(flow, flow.start(x), steps, lambda s: flow.unpack(s)[0])
    assert nfe == nfe_lifted == 2 * steps
    return own, other


def agreement(own, other, data):
    """Return the share that ends on the same source, and the median path difference's maximum."""
    ends = [torch.cdist(path[-1], data.flatten(1).double()).argmin(1) for path in (own, other)]
    apart = (own - other).norm(dim=2) / own.norm(dim=2)
    return float((ends[0] == ends[1]).double().mean()), float(apart.median(dim=1).values.max())


@pytest.mark.parametrize("name", TARGETS)
def test_lifted_trajectories_are_those_of_the_exact_field(name):
    """Six sources, d = 784: levels are known to 1 / sqrt(2 d) = 2.5 %, paths to much less."""
    data = garments(6, 28)
    same, apart = agreement(*both_paths(name, data, 64, 24, **TARGETS[name]), data)
    assert same > 0.95
    assert apart < 0.005


def test_a_lift_is_the_better_the_higher_the_dimension():
    """The relative width of the level given x falls as 1 / sqrt(2 d)."""
    errors = []
    for size in (4, 28):
        data = garments(6, size)
        errors.append(agreement(*both_paths("gravity", data, 64, 24), data)[1])
    assert errors[1] < errors[0] / 2


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_lifted_trajectories_on_fashion_mnist(name):
    """8,000 images: 95 % of 256 trajectories end on the same one, paths differ by under 1 %."""
    data = load_data("fashion-mnist").batch(torch.arange(8000))
    same, apart = agreement(*both_paths(name, data, 256, 32, **TARGETS[name]), data)
    print(f"{name}: {same:.1%} end on the same image, median path difference {apart:.3%}")
    assert same >= 0.95
    assert apart < 0.01


@pytest.mark.parametrize("name", ["gaussian", "ve", "vp", "flow"])
@pytest.mark.parametrize("source", ["gaussian", "vp", "flow"])
def test_between_gaussian_kernels_a_lift_is_exact(source, name):
    """The level is a function of t: the denoisers are the same up to scale, at any dimension."""
    mixture = GaussianMixture.diagonal(normal(3, 5), 0.1)
    lifted = lift(zoo.exact(source, mixture), name)
    exact = zoo.exact(zoo.kernel(name, dim=5), mixture)
    for level in (0.01, 0.3, 5.0, 60.0):
        t = float(exact.kernel.time_at(level))
        x = normal(4, 5, seed=1) * float(exact.kernel.marginal(t)[1])
        torch.testing.assert_close(lifted.denoise(x, t), exact.denoise(x, t), rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(lifted.field(x, t), exact.field(x, t), rtol=1e-7, atol=1e-7)


def test_the_field_of_a_network_is_lifted_as_well():
    """A network that predicts the velocity of flow matching determines the same denoiser."""
    mixture = GaussianMixture.diagonal(normal(3, 5), 0.1)
    flow = zoo.exact("flow", mixture)

    class Velocity(type(flow.network)):
        predicts = "field"

        def forward(self, x_t, t, labels=None):
            return self.kernel.velocity(x_t, super().forward(x_t, t), t)

    flow.network.__class__ = Velocity
    lifted, exact = lift(flow, "gaussian"), zoo.exact("gaussian", mixture)
    x = normal(4, 5, seed=1)
    torch.testing.assert_close(lifted.denoise(x, 0.7), exact.denoise(x, 0.7), rtol=1e-8, atol=1e-8)


def test_beyond_the_levels_of_the_network_its_last_ones_serve():
    mixture = GaussianMixture.diagonal(normal(1, 5), 0.04)
    kernel = zoo.kernel("gaussian", dim=5, t_min=0.01, t_max=20.0)
    denoiser = LevelDenoiser(zoo.exact(kernel, mixture).network, kernel)
    wide = zoo.exact("gaussian", mixture)
    x = normal(4, 5, seed=1)
    low, high = torch.tensor([0.001, 70.0], dtype=DOUBLE)
    near = mixture.means[0] + 0.1 * x
    assert torch.equal(denoiser(near, low), denoiser(near, torch.tensor(0.01, dtype=DOUBLE)))
    far = 70 * x
    # The data's mean, up to O(variance / 20): of x, whose size is 70, that is nothing.
    torch.testing.assert_close(denoiser(far, high), wide.denoise(far, high), rtol=0, atol=0.01)
    assert bool(
        denoiser(far, torch.tensor(math.inf, dtype=DOUBLE).clamp(max=1e300)).isfinite().all()
    )


def radial_map(kernel, other, r, t, t_other):
    """r' = psi'^{-1}(psi(r)), the radius at equal quantile under another kernel."""
    least_tail = 2.0**-53  # float64 knows no more near 1
    q = kernel.radial_cdf(r.double(), t).clamp(least_tail, 1 - least_tail)
    return other.radial_icdf(q, t_other).to(r)


def test_radii_are_mapped_at_equal_quantile():
    gravity, tanh = zoo.kernel("gravity", dim=3), zoo.kernel("tanh", dim=3)
    q = torch.tensor([1e-6, 0.1, 0.5, 0.9, 1 - 1e-6], dtype=DOUBLE)
    r = gravity.radial_icdf(q, 2.0)
    mapped = radial_map(gravity, tanh, r, 2.0, 5.0)
    torch.testing.assert_close(tanh.radial_cdf(mapped, 5.0), q, rtol=1e-9, atol=0)
    torch.testing.assert_close(radial_map(tanh, gravity, mapped, 5.0, 2.0), r, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["gravity", "tanh", "psi"])
def test_the_level_travels_as_its_radius(name):
    """d sigma/dt = (dr/dt) / sqrt(d): the carried level keeps its quantile down to t_min."""
    options = {"psi": "1 - exp(-r / (t + t**2))"} if name == "psi" else {}
    kernel = zoo.kernel(name, dim=64, **options)
    lifted = lift(zoo.exact("gaussian", garments(4, 8)), kernel)
    flow = lifted.augmented_flow()
    x = lifted.prior.sample(8, lifted.shape, torch.Generator().manual_seed(0))
    state = flow.start(x)
    solver = zoo.solver("dopri5", rtol=1e-8, atol=1e-8)
    end = solver.integrate(flow, state, kernel.t_max, kernel.t_min, steps=30)
    q = kernel.radial_cdf(flow.unpack(state)[1] * 8, kernel.t_max)
    arrived = kernel.radial_cdf(flow.unpack(end)[1] * 8, kernel.t_min)
    torch.testing.assert_close(arrived, q, rtol=1e-4, atol=1e-6)
    level = flow.unpack(state)[1]
    rate = level_rate(kernel, level, torch.tensor(kernel.t_max, dtype=DOUBLE))
    expected = kernel.radial_velocity(level * 8, kernel.t_max) / (level * 8)
    torch.testing.assert_close(rate, expected)


# The start, where a sample's level is above those of the network


class Far(PriorSampler):
    """x_T with the directions of another prior and given levels."""

    def __init__(self, prior, levels):
        super().__init__(prior.kernel)
        self.prior, self.levels = prior, torch.tensor(levels, dtype=DOUBLE)

    def sample(self, n, shape, generator=None):
        x = self.prior.sample(n, shape, generator)
        unit = x / over(x.flatten(1).square().mean(dim=1).sqrt(), x)
        return unit * over(self.levels.repeat(n)[:n], x)

    def log_density(self, x_T):
        return self.prior.log_density(x_T)


def asked_levels(model):
    """The list that every level the network is asked for will be in."""
    asked = []
    model.network.register_forward_pre_hook(lambda _, args: asked.append(args[1].clone()))
    return asked


@pytest.mark.parametrize("name", TARGETS)
def test_the_start_is_where_the_ode_arrives_on_the_largest_level(name):
    """N(m, v): (x - m) / sqrt(v + level^2) is constant; the start is right to v / (2 high^2)."""
    mean, variance, high = 0.5, 0.09, 20.0
    data = GaussianMixture.diagonal(torch.full((1, 64), mean, dtype=DOUBLE), variance)
    kernel = zoo.kernel(name, dim=64, **TARGETS[name])
    source = zoo.exact(zoo.kernel("gaussian", dim=64, t_max=high), data)
    lifted = lift(source, kernel)
    levels = torch.tensor([5.0, 19.9, 20.1, 80.0, 1e4, 1e12], dtype=DOUBLE)
    x = Far(lifted.prior, levels.tolist()).sample(6, (64,), torch.Generator().manual_seed(0))
    flow = lifted.augmented_flow()
    start, level = flow.unpack(flow.start(x))
    torch.testing.assert_close(level, levels.clamp(max=high))
    ratio = (variance + level.square()) / (variance + levels.square())
    expected = mean + over(ratio.sqrt(), x) * (x - mean)
    errors = (start - expected).flatten(1).square().mean(dim=1).sqrt() / level
    assert float(errors.max()) < variance / high**2
    torch.testing.assert_close(start[:2], x[:2])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("solver", ["euler", "heun", "exp-abm3"])
def test_the_start_costs_nothing_and_asks_for_no_level_above_the_largest(name, solver):
    model = gaussian_up_to(20.0, garments(4, 8))
    lifted = lift(model, zoo.kernel(name, dim=64, **TARGETS[name]), solver=zoo.solver(solver))
    asked = asked_levels(model)
    prior = Far(lifted.prior, [3.0, 70.0, 1e4, 1e12])
    x = lifted.sample(16, seed=0, steps=7, prior=prior)
    assert bool(x.isfinite().all())
    assert max(float(level.max()) for level in asked) <= 20.0
    plain = asked_levels(model)
    asked.clear()
    model.sample(16, seed=0, steps=7, solver=solver)
    assert len(plain) == {"euler": 7, "heun": 13, "exp-abm3": 7}[solver]
    plain.clear()
    lifted.sample(16, seed=0, steps=7, prior=prior)
    assert len(plain) == {"euler": 7, "heun": 13, "exp-abm3": 7}[solver]


@pytest.mark.parametrize("name", TARGETS)
def test_samples_that_start_on_the_largest_level_are_those_of_the_exact_field(name):
    """Most levels are above 20 at first; the samples end on the same sources nonetheless."""
    data = garments(6, 28)
    kernel = zoo.kernel(name, dim=784, **TARGETS[name])
    exact, lifted = zoo.exact(kernel, data), lift(gaussian_up_to(20.0, data), kernel)
    own, other = (m.sample(64, seed=0, steps=40, solver="exp-abm3") for m in (exact, lifted))
    paths = [x.flatten(1).double()[None] for x in (own, other)]
    same, apart = agreement(*paths, data)
    assert same > 0.95
    assert apart < 0.005


# Samples


@pytest.mark.parametrize("name", ["gravity", "tanh", "vp"])
@pytest.mark.parametrize("solver", ["euler", "heun", "exp-abm3"])
def test_a_lifted_sample_costs_the_evaluations_of_a_plain_one(name, solver):
    model = zoo.exact("gaussian", garments(4, 8), solver=solver)
    lifted, calls = lift(model, name), []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    model.sample(3, seed=0, steps=7)
    plain = len(calls)
    lifted.sample(3, seed=0, steps=7)
    assert len(calls) == 2 * plain


@pytest.mark.parametrize("name", TARGETS)
def test_samples_are_the_data(name):
    data = garments(5, 16)
    lifted = lift(zoo.exact("gaussian", data), zoo.kernel(name, dim=256, **TARGETS[name]))
    x = lifted.sample(40, seed=0, steps=24).double()
    distance, nearest = torch.cdist(x.flatten(1), data.flatten(1)).min(dim=1)
    assert float(distance.max()) < 0.2
    assert len(nearest.unique()) == 5


def test_a_lifted_sample_depends_on_the_seed_and_its_number_alone():
    lifted = lift(images("gaussian"), "gravity")
    whole = lifted.sample(20, seed=3, steps=4)
    assert torch.equal(lifted.sample(5, seed=3, steps=4), whole[:5])
    assert torch.equal(lifted.sample(20, seed=3, steps=4, batch_size=7), whole)
    adaptive = lifted.sample(20, seed=3, steps=4, solver="dopri5")
    assert torch.equal(lifted.sample(3, seed=3, steps=4, solver="dopri5"), adaptive[:3])
    assert not torch.equal(lifted.sample(5, seed=4, steps=4), whole[:5])


def test_labels_and_guidance_pass_through():
    model = images("gaussian", labels=3)
    lifted = lift(model, "gravity")

    def sample(**options):
        return lifted.sample(4, seed=0, steps=4, **options)

    by_class = [sample(labels=k) for k in range(3)]
    assert not torch.equal(by_class[0], by_class[1])
    mixed = sample(labels=torch.tensor([0, 1, 2, 0]))
    for i, k in enumerate([0, 1, 2, 0]):
        assert torch.equal(mixed[i], by_class[k][i])
    assert torch.equal(sample(labels=-1), sample())
    assert not torch.equal(sample(labels=1, guidance=3.0), by_class[1])
    with pytest.raises(ZooError, match=r"guidance = 2\.0 needs labels"):
        sample(guidance=2.0)
    with pytest.raises(ZooError, match="not conditioned on classes"):
        lift(images("gaussian"), "gravity").sample(labels=1)


def test_steps_range_solver_and_prior_are_kept_or_given():
    model = images("gaussian", solver="euler")
    lifted = lift(model, "gravity")
    assert type(lifted.prior).__name__ == "GravityPrior"
    assert lifted.solver is model.solver
    assert (lifted.steps, lifted.range, lifted.shape) == (model.steps, (-1.0, 1.0), (1, 8, 8))
    flat = lift(points("gaussian", dim=3), "tanh", solver=zoo.solver("heun"))
    assert flat.range is None
    assert type(flat.solver).__name__ == "Heun"
    kernel = zoo.kernel("exp", dim=64)
    prior = KernelPrior(kernel)
    assert lift(model, kernel, prior=prior).prior is prior


def test_a_lifted_model_is_lifted_from_where_it_came():
    model = images("gaussian")
    again = lift(lift(model, "gravity"), "tanh")
    assert torch.equal(
        again.sample(2, seed=0, steps=4), lift(model, "tanh").sample(2, seed=0, steps=4)
    )


def test_encode_and_likelihoods_see_a_field_of_x_and_t():
    data = garments(4, 8)
    lifted = lift(zoo.exact("gaussian", data, solver="dopri5"), "gravity")
    x = data + 0.3 * normal(4, 1, 8, 8, seed=1)
    t = 0.3 * 0.67
    assert lifted.field(x, t).shape == x.shape
    expected = (x - lifted.denoise(x, t)) / over(torch.tensor(t), x)
    torch.testing.assert_close(lifted.field(x, t), expected)
    assert lifted.log_prob(x, probes=2).isfinite().all()


# Loaded and saved


@pytest.fixture(scope="module")
def gaussian_folder(tmp_path_factory):
    """The folder of a tiny Gaussian model."""
    return images("gaussian").save_pretrained(tmp_path_factory.mktemp("lift") / "gaussian-tiny")


@pytest.mark.parametrize("name", ["gravity", "tanh", "vp", "gravity:pfgmpp"])
def test_a_gaussian_model_loads_under_another_kernel(gaussian_folder, name):
    change(gaussian_folder, solver={"use": "heun", "steps": 5})
    model = zoo.load(gaussian_folder, kernel=name)
    assert isinstance(model, LiftedModel)
    assert not model.training
    assert model.kernel.part.use == name
    assert model.steps == 5
    assert torch.equal(
        model.sample(2, seed=0), lift(zoo.load(gaussian_folder), name).sample(2, seed=0)
    )
    other = zoo.load(gaussian_folder, kernel=name, solver="euler")
    assert type(other.solver).__name__ == "Euler"
    assert other.steps == 5


def test_its_own_kernel_is_no_lift(gaussian_folder):
    for name in ("gaussian", "gaussian:gaussian"):
        model = zoo.load(gaussian_folder, kernel=name)
        assert not isinstance(model, LiftedModel)
        assert torch.equal(model.sample(2, seed=0), zoo.load(gaussian_folder).sample(2, seed=0))


def test_a_lifted_model_saved_loads_as_it_was(gaussian_folder, tmp_path):
    lifted = zoo.load(gaussian_folder, kernel="gravity")
    folder = lifted.save_pretrained(tmp_path / "gravity-lifted")
    again = zoo.load(folder)
    assert torch.equal(again.sample(3, seed=0, steps=4), lifted.sample(3, seed=0, steps=4))
    assert again.config.lifted_from.encode() == {"use": "gaussian"}
    assert again.config.kernel.encode() == {"use": "gravity"}
    assert again.config.requires == ("fieldzoo>=0.1.0",)
    card = (folder / "README.md").read_text()
    assert "| lifted from | `gaussian` |" in card
    assert card == again.card
    # The weights are those of the network as it was trained, by their own names.
    assert {p.name for p in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert "denoiser" not in (folder / "model.safetensors").read_bytes()[:2000].decode("latin-1")
    back = zoo.load(folder, kernel="gaussian")
    assert not isinstance(back, LiftedModel)
    assert back.config.lifted_from is None
    plain = zoo.load(gaussian_folder)
    assert torch.equal(back.sample(2, seed=0, steps=4), plain.sample(2, seed=0, steps=4))
    tanh, direct = (zoo.load(f, kernel="tanh") for f in (folder, gaussian_folder))
    assert torch.equal(tanh.sample(2, seed=0, steps=4), direct.sample(2, seed=0, steps=4))


def test_a_model_put_together_by_hand_and_lifted_is_saved_with_its_options(tmp_path):
    lifted = lift(images("gaussian"), zoo.kernel("pfgmpp", dim=64, D=8.0))
    again = zoo.load(lifted.save_pretrained(tmp_path / "pfgmpp-lifted"))
    assert again.kernel.degrees == 8.0
    assert torch.equal(again.sample(2, seed=0, steps=4), lifted.sample(2, seed=0, steps=4))


# Wrong input


def one_line(error, *parts):
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize("name", ["tanh", "gaussian", "vp"])
def test_a_model_without_gaussian_noise_knows_its_own_field_only(saved_images, name):
    with pytest.raises(ZooError) as error:
        zoo.load(saved_images, kernel=name)
    one_line(error, f"kernel = {name!r}", "GravityKernel has no Gaussian noise", "leave kernel out")


def test_kernels_that_cannot_be_lifted_to_are_told(gaussian_folder):
    with pytest.raises(ZooError) as error:
        zoo.load(gaussian_folder, kernel="gravty")
    one_line(error, "no kernel 'gravty'; did you mean 'gravity'")
    with pytest.raises(ZooError) as error:
        zoo.load(gaussian_folder, kernel="psi")
    one_line(error, "kernel 'psi' needs the option 'psi'")
    with pytest.raises(ZooError) as error:
        lift(images("gaussian"), zoo.kernel("anisotropic", dim=64, covariance="1 / (1 + i)"))
    one_line(error, "AnisotropicKernel has no Gaussian noise", "isotropic or Gaussian one")
    with pytest.raises(ZooError, match="the kernel has dim 3, the network's own 64"):
        lift(images("gaussian"), zoo.kernel("gravity", dim=3))
    with pytest.raises(ZooError, match="no kernel 'gravty'"):
        lift(images("gaussian"), "gravty")


def test_what_config_json_cannot_tell_is_not_saved(tmp_path):
    exact = lift(zoo.exact("gaussian", garments(4, 8)), "gravity")
    with pytest.raises(ZooError, match=r"a model of zoo\.exact cannot be saved"):
        exact.save_pretrained(tmp_path / "a")
    unnamed = images("gaussian")
    unnamed.kernel = type(unnamed.kernel)(dim=64)
    with pytest.raises(ZooError, match="trained under has no name to save"):
        lift(unnamed, "gravity").save_pretrained(tmp_path / "b")
    written = zoo.kernel("psi", dim=64, psi=lambda r, t: torch.tanh(r / t))
    prior = zoo.prior("psi", written)
    with pytest.raises(ZooError, match="options are not JSON"):
        lift(images("gaussian"), written, prior=prior).save_pretrained(tmp_path / "c")
    assert not [*tmp_path.iterdir()]


def test_the_command_takes_the_kernel(gaussian_folder, tmp_path, capsys):
    from zoo.cli import main

    target = tmp_path / "samples.npz"
    with pytest.raises(SystemExit) as stop:
        main(["sample", str(gaussian_folder), "-n", "2", "--kernel", "tanh", "-o", str(target)])
    assert not stop.value.code
    assert "under the kernel tanh" in capsys.readouterr().out
    model = zoo.load(gaussian_folder, kernel="tanh")
    (drawn,) = np.load(target).values()
    assert torch.equal(torch.from_numpy(drawn), model.sample(2, seed=0))


def test_churn_keeps_the_law_of_a_lifted_model():
    """Data N(0, 1/4): the level that travels with a sample grows by the noise that is added."""
    data = GaussianMixture.diagonal(torch.zeros(1, 256, dtype=DOUBLE), 0.25)
    gaussian = zoo.exact("gaussian", data)
    for churn in (5.0, 40.0):
        solver = zoo.solver("heun-churn", s_churn=churn)
        for model in (gaussian, lift(gaussian, "gravity")):
            std = float(model.sample(100, seed=0, steps=40, solver=solver).std())
            assert std == pytest.approx(0.5, rel=0.06)

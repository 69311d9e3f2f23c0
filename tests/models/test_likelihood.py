"""Likelihoods along the ODE against the densities that they have to be."""

import math

import pytest
import torch
from common import normal
from tiny_models import images as images_model
from tiny_models import points as points_model
from torch import nn

import zoo
from zoo.errors import ZooError
from zoo.host.registry import catalogue
from zoo.interfaces import KernelPrior, Network, Solver, over
from zoo.models.exact import ExactPrior, GaussianMixture, flow_map
from zoo.models.likelihood import LIKELIHOOD_STEPS, dequantise, log_likelihood

DOUBLE = torch.float64
KERNELS = {found.component.name: found.component.example for found in catalogue("kernels").values()}
FINE = zoo.solver("dopri5", rtol=1e-7, atol=1e-7)
SLOW = ("phi", "map")  # solve an equation for every pair


def every_kernel():
    for name in KERNELS:
        for dim in (2, 16):
            marks = pytest.mark.slow if name in SLOW else ()
            yield pytest.param(name, dim, marks=marks, id=f"{name}-d{dim}")


def exact_model(name, data, level=0.1):
    """The exact model from a noise level that can be resolved, with the exact mixture at T."""
    dim = math.prod((data.means if isinstance(data, GaussianMixture) else data).shape[1:])
    first = float(zoo.kernel(name, dim=dim, **KERNELS[name]).time_at(level))
    kernel = zoo.kernel(name, dim=dim, t_min=first, **KERNELS[name])
    return zoo.exact(kernel, data, prior=ExactPrior(kernel, data))


def density_at_the_end(model, x):
    """log alpha^d p(alpha x, t_min): the density of x_t / alpha, which tends to that of x_0."""
    t = model.kernel.t_min
    alpha = float(model.kernel.marginal(t)[0])
    return model.network.log_density(alpha * x, t) + x[0].numel() * math.log(alpha)


@pytest.mark.parametrize("name", ["gaussian", "vp", "flow"])
def test_the_likelihood_is_that_of_the_data_not_of_what_is_scaled(name):
    """Under flow x_t = (1 - t) x_0 + t n: 16 t_min = 0.03 nats."""
    data = GaussianMixture.diagonal(torch.zeros(1, 16, dtype=DOUBLE), 0.09)
    model = zoo.exact(name, data)
    x = torch.zeros(1, 16, dtype=DOUBLE)
    truth = -8 * math.log(2 * math.pi * 0.09)
    assert float(model.log_prob(x)) == pytest.approx(truth, abs=3e-3)


@pytest.mark.parametrize(("name", "dim"), [*every_kernel()])
def test_the_likelihood_of_an_exact_field_is_its_mixtures_density(name, dim):
    data = 0.6 * normal(3, dim)
    x = data.repeat(2, 1) + 0.3 * normal(6, dim, seed=1)
    model = exact_model(name, data)
    expected = density_at_the_end(model, x)
    result = model.log_likelihood(x)
    torch.testing.assert_close(result.nats, expected, atol=1e-3, rtol=0)
    assert float(result.standard_error.abs().max()) == 0
    assert "exact divergence" in result.note


@pytest.mark.parametrize("name", ["gaussian", "ve", "vp", "flow"])
def test_the_likelihood_of_gaussian_data_is_the_closed_form(name):
    half = normal(4, 4, seed=3)
    covariance = half @ half.T / 8 + 0.05 * torch.eye(4, dtype=DOUBLE)
    data = GaussianMixture.full(normal(1, 4), covariance[None])
    model = exact_model(name, data)
    x = data.sample(8, torch.Generator().manual_seed(0))
    expected = density_at_the_end(model, x)
    torch.testing.assert_close(model.log_likelihood(x).nats, expected, atol=1e-4, rtol=0)
    assert torch.equal(model.log_prob(x), model.log_likelihood(x).nats)


class Wave(Network):
    """A denoiser of one coordinate that belongs to no data set: any field has a likelihood."""

    def __init__(self):
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(0.3, dtype=DOUBLE))

    def forward(self, x_t, t, labels=None):
        t = over(t, x_t)
        return (x_t / (1 + t.square()) + self.strength * torch.sin(2 * x_t) / (1 + t)).tanh()


def test_the_likelihood_of_any_network_integrates_to_one():
    kernel = zoo.kernel("gaussian", dim=1, t_min=0.05, t_max=20.0)
    model = zoo.FieldModel(kernel, KernelPrior(kernel), Wave(), zoo.solver("heun"), (1,))
    x = torch.linspace(-3, 3, 1201, dtype=DOUBLE)[:, None]
    mass = model.log_likelihood(x).nats.exp().sum() * 0.005
    assert float(mass) == pytest.approx(1, abs=1e-4)


def test_hutchinsons_estimate_agrees_within_the_error_it_states():
    data = 0.6 * normal(4, 24)
    model = exact_model("gravity", data, level=0.3)
    x = data.repeat(5, 1) + 0.3 * normal(20, 24, seed=1)
    exact = model.log_likelihood(x, exact=True)
    few, many = (model.log_likelihood(x, exact=False, probes=k) for k in (4, 32))
    z = (many.nats - exact.nats) / many.standard_error
    assert float(z.abs().max()) < 4
    assert 0.5 < float(z.square().mean()) < 2
    ratio = float(few.standard_error.mean() / many.standard_error.mean())
    assert ratio == pytest.approx(math.sqrt(8), rel=0.4)
    assert "Hutchinson's estimate, 32 probes" in many.note


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=pytest.mark.slow if k in SLOW else ()) for k in KERNELS]
)
def test_few_steps_and_a_spline_err_by_less_than_a_third_of_the_standard_error(name):
    data = 0.6 * normal(4, 24)
    model = exact_model(name, data)
    x = data + 0.2 * normal(4, 24, seed=1)
    accurate = model.log_likelihood(x, exact=False, solver=FINE)
    few = log_likelihood(
        model.flow(), model.prior, x, solver=None, steps=LIKELIHOOD_STEPS, exact=False, rows=16
    )
    error = (few.nats - accurate.nats).abs()
    assert (error < (accurate.standard_error / 3).clamp(min=5e-3)).all()
    torch.testing.assert_close(few.standard_error, accurate.standard_error, rtol=0.2, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gravity-digits", "gaussian-fashion-mnist"])
def test_the_default_of_image_models_errs_by_less_than_a_third_of_the_standard_error(name):
    model = zoo.load(name)
    x = model.sample(2, seed=3)
    accurate = model.log_likelihood(x, solver=FINE)
    few = model.log_likelihood(x)
    assert few.nfe < 4 * LIKELIHOOD_STEPS
    assert ((few.nats - accurate.nats).abs() < accurate.standard_error / 3).all()


@pytest.mark.parametrize("rows", [1, 3, 4, 64])
def test_probes_in_copies_are_the_same_probes(rows):
    data = 0.6 * normal(4, 20)
    model, x = exact_model("gravity", data, level=0.5), 0.8 * normal(3, 20, seed=1)
    options = {"solver": None, "steps": 6, "exact": False, "probes": 5}
    alone = log_likelihood(model.flow(), model.prior, x, **options)
    together = log_likelihood(model.flow(), model.prior, x, rows=rows, **options)
    torch.testing.assert_close(together.nats, alone.nats, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(together.standard_error, alone.standard_error)


@pytest.mark.parametrize("model", [points_model(), images_model()], ids=["points", "image"])
def test_the_origin_has_a_likelihood_as_its_neighbours_have(model):
    x = torch.zeros(1, *model.shape, dtype=DOUBLE)
    at, beside = (model.log_likelihood(x + e, solver="heun", steps=4).nats for e in (0, 1e-9))
    torch.testing.assert_close(at, beside, atol=1e-4, rtol=0)


def test_high_dimension_takes_the_estimate_unless_told():
    low, high = (exact_model("gaussian", 0.6 * normal(2, d), level=1.0) for d in (16, 17))
    assert float(low.log_likelihood(normal(1, 16)).standard_error[0]) == 0
    assert float(high.log_likelihood(normal(1, 17), probes=2).standard_error[0]) > 0
    assert float(high.log_likelihood(normal(1, 17), exact=True).standard_error[0]) == 0


def test_a_samples_likelihood_depends_on_the_seed_and_its_number_alone():
    data = 0.6 * normal(4, 20)
    model, x = exact_model("tanh", data, level=0.5), 0.8 * normal(19, 20, seed=1)
    whole = model.log_likelihood(x, probes=2, seed=5).nats
    parts = model.log_likelihood(x, probes=2, seed=5, batch_size=7).nats
    torch.testing.assert_close(parts, whole, atol=1e-8, rtol=0)
    torch.testing.assert_close(model.log_likelihood(x[:3], probes=2, seed=5).nats, whole[:3])
    assert not torch.allclose(model.log_likelihood(x, probes=2, seed=6).nats, whole, atol=1e-3)


def test_a_solver_that_drops_samples_and_one_that_does_not_agree():
    data = 0.6 * normal(4, 18)
    model, x = exact_model("gaussian", data, level=0.3), data + 0.3 * normal(4, 18, seed=1)
    adaptive = model.log_likelihood(x, probes=3)
    fixed = model.log_likelihood(x, probes=3, solver="torchdiffeq-rk4", steps=150)
    torch.testing.assert_close(adaptive.nats, fixed.nats, atol=2e-3, rtol=0)
    assert adaptive.nfe > 0
    assert fixed.nfe == 600


def test_no_data_have_no_likelihoods():
    model = exact_model("gaussian", 0.6 * normal(2, 17), level=1.0)
    assert model.log_likelihood(normal(0, 17)).standard_error.shape == (0,)
    assert log_likelihood(
        model.flow(), model.prior, normal(0, 17), solver=None, steps=4, exact=False
    ).nats.shape == (0,)


def test_lists_may_hold_whole_numbers():
    model = exact_model("gaussian", 0.6 * normal(2, 2), level=1.0)
    assert torch.equal(model.log_prob([[1, 2]]), model.log_prob([[1.0, 2.0]]))


def test_no_gradient_is_kept_and_inference_mode_does_not_matter():
    data = 0.6 * normal(3, 2)
    model = exact_model("gravity", data, level=0.5)
    plain = model.log_likelihood(data)
    with torch.inference_mode():
        inside = model.log_likelihood(data.clone())
    assert torch.equal(plain.nats, inside.nats)
    assert not plain.nats.requires_grad
    assert all(p.grad is None for p in model.parameters())


# Images


def images(n=3, size=4):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 1, size, size), generator=generator, dtype=torch.uint8)


def test_dequantised_images_are_uniform_in_their_bins():
    x = dequantise(images(50), seed=3)
    bins = (x + 1) * 127.5 - images(50).double()
    assert x.dtype == DOUBLE
    assert float(bins.min()) >= -0.5
    assert float(bins.max()) < 0.5
    assert float(bins.mean()) == pytest.approx(0, abs=0.05)
    assert float(bins.var()) == pytest.approx(1 / 12, abs=0.01)
    assert torch.equal(dequantise(images(50)[:7], seed=3), x[:7])
    assert not torch.equal(dequantise(images(50), seed=4), x)
    wide = dequantise(images(50), seed=3, value_range=(0.0, 255.0))
    torch.testing.assert_close(wide, images(50).double() + bins)


def test_bits_of_uniform_images_are_eight_per_dimension():
    """Data uniform on [-1, 1]^d by a wide Gaussian: P(image) = density times the bin's volume."""
    kernel = zoo.kernel("gaussian", dim=16, t_min=0.5)
    law = GaussianMixture.diagonal(torch.zeros(1, 1, 4, 4), 100.0)
    model = zoo.exact(kernel, law, prior=ExactPrior(kernel, law))
    result = model.log_likelihood(images())
    x = dequantise(images())
    density = model.network.log_density(x, 0.5)
    torch.testing.assert_close(result.nats, density + 16 * math.log(2 / 255), atol=1e-4, rtol=0)
    torch.testing.assert_close(result.bits_per_dim, -result.nats / 16 / math.log(2))
    # A Gaussian of standard deviation 10 is flat over [-1, 1]: log2(255/2 * 10 sqrt(2 pi)) bits.
    flat = math.log2(255 / 2 * 10 * math.sqrt(2 * math.pi))
    assert float(result.bits_per_dim.mean()) == pytest.approx(flat, abs=0.01)
    assert "lower bound" in result.note
    assert "dequantised" in result.note


def test_encode_then_decode_returns_the_images():
    data = normal(30, 1, 8, 8).tanh()
    for name in ("gravity", "gaussian", "vp", "tanh", "flow"):
        kernel = zoo.kernel(name, dim=64)
        model = zoo.exact(kernel, data, solver="euler")  # samples by it, but does not encode
        # What the model holds to be data: beyond, a trajectory is as ill-conditioned as unlikely.
        x = kernel.sample(data[:4], kernel.t_min, torch.Generator().manual_seed(0))
        noise = model.encode(x)
        back = model.decode(noise)
        error = (back - x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)
        assert noise.shape == x.shape
        assert float(error.max()) < 1e-4, name


def test_encoding_gaussian_data_is_the_flow_map():
    data = GaussianMixture.diagonal(normal(1, 6), 0.3)
    kernel = zoo.kernel("gaussian", dim=6)
    model = zoo.exact(kernel, data)
    x = data.sample(5, torch.Generator().manual_seed(0))
    expected = flow_map(kernel, data, x, kernel.t_min, kernel.t_max)
    fine = zoo.solver("dopri5", rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(model.encode(x, solver=fine), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(model.encode(x), expected, rtol=1e-5, atol=1e-5)
    rough = model.encode(x, solver="heun", steps=18)
    assert 1e-4 < float((rough - expected).norm() / expected.norm()) < 0.2


@pytest.mark.parametrize("name", ["gravity", "flow"])
def test_a_network_in_single_precision_encodes_and_decodes(name):
    model = images_model(name)
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    back = model.decode(model.encode(x))
    error = (back - x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)
    assert model.dtype == torch.float32
    assert float(error.max()) < 1e-4
    assert model.bfloat16().encode(x, steps=10).isfinite().all()


# Wrong input


@pytest.mark.parametrize(
    ("x", "options", "text"),
    [
        (torch.zeros(2, 3), {}, r"x_0 has shape \(2, 3\); expected \(n, \*\(2,\)\)"),
        (torch.tensor([[0.0, math.nan]]), {}, "x_0 is not finite"),
        (torch.zeros(2, 2), {"exact": False, "probes": 1}, "probes = 1; expected .* at least 2"),
        (torch.zeros(2, 2), {"exact": False, "probes": 2.5}, r"probes = 2\.5"),
        (torch.full((2, 2), 3), {}, "x_0 is of torch.int64; expected floating"),
        (torch.zeros(2, 2), {"solver": "heum"}, "no solver 'heum'; did you mean"),
        (torch.zeros(2, 2), {"batch_size": 0}, "batch_size = 0"),
        (torch.zeros(2, 2), {"steps": -1}, "steps = -1"),
    ],
)
def test_wrong_input_is_told(x, options, text):
    model = exact_model("gaussian", normal(3, 2), level=0.5)
    with pytest.raises(ZooError, match=text):
        model.log_likelihood(x, **options)


def test_a_solver_that_asks_a_state_for_a_velocity_is_told():
    class Asks(Solver):
        order = 1

        def integrate(self, flow, x, t_from, t_to, *, steps, callback=None):
            return x + (t_to - t_from) * flow.kernel.velocity(x, 0 * x, t_from)

    model = exact_model("gaussian", normal(3, 2), level=0.5)
    with pytest.raises(ZooError, match="asks for more than times and levels of the kernel"):
        model.log_likelihood(torch.zeros(2, 2), solver=Asks())


def test_images_are_integers():
    with pytest.raises(ZooError, match="images are float32; expected integers"):
        dequantise(torch.zeros(2, 3))
    with pytest.raises(ZooError, match="images are bool; expected integers"):
        dequantise(torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(ZooError, match=r"values outside 0\.\.255"):
        dequantise(torch.full((2, 2), 300))


def test_no_data_have_no_likelihood():
    model = exact_model("gaussian", normal(3, 2), level=0.5)
    assert model.log_likelihood(torch.zeros(0, 2)).nats.shape == (0,)
    assert dequantise(torch.zeros(0, 1, 2, 2, dtype=torch.uint8)).shape == (0, 1, 2, 2)
